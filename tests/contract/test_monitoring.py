"""Alert rules and dashboard: valid, and each alert fires for its fault (the names they use: tests/process)."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
RUNBOOK = ROOT / "docs" / "health.md"
RULE_TESTS = Path(__file__).parent / "alerts_fire.yml"

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: apt install prometheus")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def dashboard_expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def run_promtool(*arguments: object) -> str:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_alert_says_what_and_how_bad() -> None:
    """Each alert has a name, a severity and a summary."""
    for alert in alerts():
        assert alert["alert"].startswith("Inspector")
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"]["summary"]


def test_every_alert_stands_in_the_runbook_and_is_tested() -> None:
    """docs/health.md says what it means and what to do; alerts_fire.yml tests that it fires."""
    names = {alert["alert"] for alert in alerts()}
    assert names == set(re.findall(r"^\| `(Inspector\w+)`", RUNBOOK.read_text(), re.MULTILINE))
    tested = RULE_TESTS.read_text()
    for name in names:
        assert f'alertname="{name}"' in tested, f"{name} is never seen to fire"


def test_panels_do_not_lie_over_each_other() -> None:
    """Every panel has its own place in the 24 columns, and a query."""
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["targets"]


@promtool
def test_prometheus_takes_the_rules() -> None:
    """`promtool check rules` accepts them."""
    assert "SUCCESS" in run_promtool("check", "rules", ALERTS)


@promtool
def test_alerts_fire_for_their_faults_and_for_nothing_else() -> None:
    """`promtool test rules`: a working line fires no alert, and each fault fires its own."""
    assert "SUCCESS" in run_promtool("test", "rules", RULE_TESTS)


@promtool
def test_prometheus_takes_what_the_dashboard_asks(tmp_path: Path) -> None:
    """Every expression parses."""
    rules = [
        {"record": f"panel:{index}", "expr": expression.replace("$instance", ".*").replace("$camera", ".*")}
        for index, expression in enumerate(dashboard_expressions())
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run_promtool("check", "rules", path)
