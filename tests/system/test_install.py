"""From a wheel to a running, healthy service with five commands, under a real systemd."""

import json
import re
import time

import pytest

from tests.system.container import until
from tests.system.service import USERS, Service

pytestmark = pytest.mark.system

STRICT = "umask 027; "
"""A habit of root on many PCs. Root does all that this file does under it; test_faults.py has the default."""

INSTALL = f"{STRICT}/mnt/release/deploy/install.sh --wheelhouse /mnt/wheels /mnt/release/*.whl"

FIVE_COMMANDS = (
    INSTALL,
    f"{STRICT}inspector check --config /etc/inspector/line.toml",
    "systemctl enable inspector.target inspector-decide inspector-worker@demo inspector-ingest@top",
    "systemctl start inspector.target",
    "inspector status --config /etc/inspector/line.toml",
)

UNITS = ("inspector-decide", "inspector-worker@demo", "inspector-ingest@top")

MOST_EXPOSED = 2.5
"""On the scale of `systemd-analyze security`, 0 (best) to 10."""


def test_five_commands_lead_to_a_healthy_line(service: Service, measured: dict[str, str]) -> None:
    """Installed, checked, enabled, started: READY after the golden frames, verdicts by the demo engine."""
    # An administrator has made some of its folders before.
    service.container.run(f"{STRICT}mkdir -p /opt/inspector/releases /etc/inspector /usr/local/lib/systemd/system")
    started = time.monotonic()
    for command in FIVE_COMMANDS[:-1]:
        service.container.run(command)
    measured["from the wheel to READY, demo engine built on the way"] = f"{time.monotonic() - started:.0f} s"
    until(lambda: service.container.run(FIVE_COMMANDS[-1], check=False).returncode == 0, 20, "not healthy")
    measured["from the wheel to healthy"] = f"{time.monotonic() - started:.0f} s"
    service.inspected_again(("top",), time.time(), 20)
    for unit, said in (
        ("decide", "verdicts/s, last top frame"),
        ("ingest@top", "captured"),
        ("worker@demo", "answered"),
    ):
        until(
            lambda u=unit, s=said: s in service.show(f"inspector-{u}", "StatusText"),  # type: ignore[misc]
            5,
            f"{unit} says no {said}",
        )


def test_systemd_finds_nothing_wrong_with_the_units(service: Service) -> None:
    """`systemd-analyze verify` says nothing at all."""
    folder = "/usr/local/lib/systemd/system"
    done = service.container.run(
        f"systemd-analyze verify {folder}/inspector*.service {folder}/inspector*.path {folder}/inspector.target"
    )
    assert (done.stdout + done.stderr).strip() == ""


@pytest.mark.parametrize("unit", [*UNITS, "inspector-alarm@x", "inspector-worker@demo with a GPU"])
def test_little_is_exposed(service: Service, unit: str, measured: dict[str, str]) -> None:
    """`systemd-analyze security` at most 2.5, also where a GPU is given to the worker."""
    name, _, gpu = unit.partition(" with ")
    drop_in = f"/run/systemd/system/{name}.service.d"
    if gpu:
        example = "/mnt/release/deploy/systemd/examples/worker-gpu.conf"
        service.container.run(f"mkdir -p {drop_in} && cp {example} {drop_in} && systemctl daemon-reload")
    said = service.container.run(f"systemd-analyze security --no-pager {name}").stdout
    if gpu:
        service.container.run(f"rm -r {drop_in} && systemctl daemon-reload")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found, said
    measured[f"systemd-analyze security {unit}"] = found[1]
    assert float(found[1]) <= MOST_EXPOSED, said
    assert "allow list" in said
    assert "deny list" not in said


def test_the_service_can_change_neither_its_engines_nor_its_config(service: Service) -> None:
    """Both are root's; and nothing of the PC but its own folders can be written."""
    for path in ("/etc/inspector/line.toml", "/opt/inspector/engines/demo/model.xml", "/opt/inspector/current"):
        for user in USERS:
            done = service.container.run(f"runuser -u {user} -- test -w {path}", check=False)
            assert done.returncode == 1, path
    folder = service.container.run("stat -c '%U:%G %a' /etc/inspector /opt/inspector/engines").stdout
    assert folder.split() == ["root:inspector", "750", "root:inspector", "750"]
    assert service.container.run("runuser -u nobody -- ls /run/inspector", check=False).returncode != 0


def test_everybody_can_start_what_root_has_installed(service: Service) -> None:
    """Whatever umask root has, all users can run the programs; config and engines stay private."""
    for program in ("inspector", "trainer"):
        service.container.run(f"runuser -u nobody -- {program} --help")
    for path in ("/etc/inspector/line.toml", "/opt/inspector/engines/demo/model.xml"):
        assert service.container.run(f"runuser -u nobody -- test -r {path}", check=False).returncode == 1


@pytest.mark.parametrize(
    ("user", "reached"),
    [
        ("inspector-ingest", {"news/socket", "frames/top"}),
        ("inspector-worker", {"frames/top", "results/socket"}),
        ("inspector-decide", {"news/socket", "results/socket", "view/socket"}),
        ("nobody", set()),
    ],
)
def test_each_stage_reaches_its_own_links_only(service: Service, user: str, reached: set[str]) -> None:
    """A broken image decoder, which is ingest's, sends no results: the kernel does not let it connect."""
    for name in ("news/socket", "results/socket", "frames/top", "view/socket"):
        path = f"/run/inspector/{name}"
        program = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
        if service.container.run(f"test -S {path}", check=False).returncode:
            continue
        done = service.container.run(f'runuser -u {user} -- python3 -c "{program}"', check=False)
        assert (done.returncode == 0) == (name in reached), (name, done.stderr)
    for path in ("/run/inspector/results/other", "/var/lib/inspector/verdicts.jsonl", "/var/lib/inspector/x"):
        done = service.container.run(f"runuser -u {user} -- sh -c 'test -w {path} || touch {path}'", check=False)
        allowed = user == "inspector-decide" or (user == "inspector-worker" and "results" in path)
        assert (done.returncode == 0) == allowed, path
        service.container.run(f"rm -f {path}" if path.endswith(("other", "x")) else "true")


def test_a_killed_worker_is_back_with_its_network_within_ten_seconds(
    service: Service, measured: dict[str, str]
) -> None:
    """The demo engine, golden frames and all; meanwhile frames are uninspected."""
    killed_s = time.time()
    service.signal("inspector-worker@demo", "SIGKILL")
    took_s = service.inspected_again(("top",), killed_s + 0.1, 10)
    measured["SIGKILL of the worker, demo engine"] = f"{took_s:.1f} s"
    assert any(v["decision"] == "uninspected" for v in service.since(killed_s))


def test_the_strip_follows_a_coil_and_its_report_is_written(service: Service) -> None:
    """As docs/strip.md and docs/report.md say it; then the line is as it was. No stage starts the report."""
    box = service.container
    before = box.run("cat /etc/inspector/line.toml").stdout
    tables = '[strip]\\nfolder = "/var/lib/inspector/strip"\\nresult_wait_s = 1\\n[report]\\nat_coil_end = true\\n'
    box.run(f"printf '{tables}' >> /etc/inspector/line.toml")
    box.run("install -d -o inspector-decide -g inspector -m 2750 /var/lib/inspector/strip")
    box.run("systemctl restart inspector-decide inspector-worker@demo inspector-ingest@top")
    box.run("systemctl start inspector-strip inspector-report.path")
    assert service.show("inspector-strip", "ActiveState") == "active"
    until(lambda: box.run(FIVE_COMMANDS[-1], check=False).returncode == 0, 60, "not healthy with a strip")
    assert "\nstrip    " in box.run(FIVE_COMMANDS[-1]).stdout
    box.run("inspector coil start C-48213 --config /etc/inspector/line.toml")
    time.sleep(2)
    box.run("inspector coil end --config /etc/inspector/line.toml")
    report = "/var/lib/inspector/reports/000001-C-48213.html"
    until(lambda: box.run(f"test -s {report}", check=False).returncode == 0, 60, "no report")
    assert box.run(f"stat -c %U:%G {report}").stdout.strip() == "inspector-decide:inspector"
    assert "C-48213" in service.show("inspector-strip", "StatusText") or "no coil" in service.show(
        "inspector-strip", "StatusText"
    )
    box.run("systemctl stop inspector-strip inspector-report.path")
    box.path("/etc/inspector/line.toml").write_text(before)
    box.run("systemctl restart inspector-decide inspector-worker@demo inspector-ingest@top")
    until(lambda: box.run(FIVE_COMMANDS[-1], check=False).returncode == 0, 60, "not healthy")


def test_installing_again_changes_nothing(service: Service) -> None:
    """No stage restarts, and no user's file changes; files that root added become readable for the stages."""
    service.container.run("echo '# mine' >> /etc/inspector/line.toml")
    service.container.run(f"{STRICT}touch /etc/inspector/added.toml")
    added = "runuser -u inspector-decide -- test -r /etc/inspector/added.toml"
    assert service.container.run(added, check=False).returncode == 1
    before = [service.pid(unit) for unit in UNITS]
    said = service.container.run(INSTALL).stdout
    assert "is in use" in said
    assert [service.pid(unit) for unit in UNITS] == before
    assert service.container.run("tail -1 /etc/inspector/line.toml").stdout == "# mine\n"
    service.container.run(added)


def test_an_upgrade_keeps_config_recipes_and_engines(service: Service) -> None:
    """Another wheel is another release: the line runs on it, everything else is as it was."""
    kept = "sha256sum /etc/inspector/*.toml /opt/inspector/engines/*/* | sort"
    before, old = (
        service.container.run(kept).stdout,
        service.container.run("readlink /opt/inspector/current").stdout,
    )
    done = service.container.run(f"{_repacked('/tmp/next', 'no change')} && {_install('/tmp/next')}")
    assert "restarting" in done.stdout
    service.inspected_again(("top",), time.time(), 30)
    assert service.container.run("readlink /opt/inspector/current").stdout != old
    assert service.container.run(kept).stdout == before
    assert (service.state / "verdicts.jsonl").exists()


def test_a_release_that_does_not_start_is_not_kept(service: Service) -> None:
    """If the upgraded line does not start, the previous release runs again."""
    old = service.container.run("readlink /opt/inspector/current").stdout
    broken = "raise SystemExit('broken on purpose')"
    done = service.container.run(
        f"{_repacked('/tmp/broken', broken, 'inspector/worker/process.py')} && {_install('/tmp/broken')}",
        check=False,
    )
    assert done.returncode == 1
    assert "runs on the old one again" in done.stderr
    assert service.container.run("readlink /opt/inspector/current").stdout == old
    service.inspected_again(("top",), time.time(), 30)


def test_uninstalling_leaves_what_is_the_users(service: Service) -> None:
    """Units, releases and commands go; config, engines and verdicts stay; nothing runs any more."""
    service.container.run("/mnt/release/deploy/install.sh --uninstall")
    assert not [user for user in USERS if service.container.processes(user)]
    assert service.systemctl("list-units --all --plain --no-legend 'inspector*'") == ""
    assert service.container.run("which inspector", check=False).returncode != 0
    service.container.run("ls /etc/inspector/line.toml /opt/inspector/engines/demo/manifest.json")
    summary = json.loads((service.state / "summary.json").read_text())
    assert summary["captured"] == summary["accepted"] + summary["rejected"] + summary["uninspected"]
    assert service.container.run("ls /run/inspector", check=False).stdout == ""


def _repacked(folder: str, line: str, file: str = "inspector/__init__.py") -> str:
    """A shell command that makes another wheel, with a line more at the end of one of its files."""
    python = "/opt/inspector/current/bin/python"
    program = (
        "import zipfile,sys,glob;"
        "src,=glob.glob('/mnt/release/*.whl');"
        f"dst='{folder}/'+src.rsplit('/',1)[1];"
        "a=zipfile.ZipFile(src);b=zipfile.ZipFile(dst,'w');"
        f"[b.writestr(n, a.read(n)+(sys.argv[1].encode() if n=={file!r} else b'')) "
        "for n in a.namelist() if not n.endswith('RECORD')];"
        "b.writestr(next(n for n in a.namelist() if n.endswith('RECORD')), '');b.close()"
    )
    return f'mkdir -p {folder} && {python} -c "{program}" "\n# {line}\n"'.replace("# raise", "raise")


def _install(folder: str) -> str:
    return f"{STRICT}/mnt/release/deploy/install.sh --wheelhouse /mnt/wheels {folder}/*.whl"
