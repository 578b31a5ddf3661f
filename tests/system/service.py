"""The installed line in its container: what it says of itself, what it leaves behind, and whether that adds up."""

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system.container import Container, until
from tests.system.plc_log import PlcLog

STATE = "/var/lib/inspector"
DECIDE, WORKER, SIMULATED, CAMERA = (
    "inspector-decide",
    "inspector-worker@plate",
    "inspector-ingest@top",
    "inspector-ingest@side",
)
STAGES = (DECIDE, WORKER, SIMULATED, CAMERA)

USERS = ("inspector-decide", "inspector-worker", "inspector-ingest")

PYTHON = "/opt/inspector/current/bin/python"

ROWS = (
    "import json, sqlite3, sys; database = sqlite3.connect(sys.argv[1]); "
    'assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]; '
    'print(json.dumps(database.execute("SELECT camera, frame_id, captured_ns FROM verdicts").fetchall()))'
)

SOCKETS = re.compile(
    r"(news|results|view|archive)(/socket)?|news/(captured|ended)-(top|side)|frames(/(top|side)(\.pixels)?)?|journal|(position|picture)-(top|side)"
    r"|\.(decide|ingest-top|ingest-side)\.lock"
)
"""All that may ever lie in /run/inspector."""

DEADLINE_MS = 500.0

PLC_LOG = "/opt/plc.jsonl"

LEDGER = re.compile(r"captured (\d+) = accepted (\d+) \+ rejected (\d+) \+ uninspected (\d+), (\d+) pending")

Verdicts = list[dict[str, Any]]


@dataclass
class VerdictReader:
    """Follows verdicts.jsonl through its rotations."""

    folder: Path
    verdicts: Verdicts = field(default_factory=list)
    _read: dict[int, int] = field(default_factory=dict)
    """Inode → bytes taken."""

    def update(self) -> Verdicts:
        """All verdicts since the start, in the order in which they were given."""
        current = self.folder / "verdicts.jsonl"
        if not current.exists():
            return self.verdicts
        with current.open("rb") as newest:
            # Opened first: should it be moved aside now, it is still the newest of what is read here.
            pinned = newest.fileno()
            for path in sorted(self.folder.glob("verdicts-*.jsonl")):
                with path.open("rb") as full:
                    if path.stat().st_ino != Path(f"/proc/self/fd/{pinned}").stat().st_ino:
                        self._take(full)
            self._take(newest)
        return self.verdicts

    def _take(self, file: Any) -> None:
        inode = Path(f"/proc/self/fd/{file.fileno()}").stat().st_ino
        taken = self._read.get(inode, 0)
        file.seek(taken)
        lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read[inode] = taken + len(whole)
        self.verdicts += [json.loads(line) for line in whole.splitlines()]


class Service:
    """The line as systemd runs it."""

    def __init__(self, container: Container, state: Path) -> None:
        self.container = container
        self.state = state
        self.reader = VerdictReader(state)
        self.plc = PlcLog(container.path(PLC_LOG), ("top", "side"))
        self.figures: dict[str, str] = {}

    def systemctl(self, command: str, *, check: bool = True) -> str:
        return self.container.run(f"systemctl {command}", check=check).stdout.strip()

    def show(self, unit: str, name: str) -> str:
        return self.systemctl(f"show --value --property {name} {unit}", check=False)

    def pid(self, unit: str) -> int:
        """Inside the container; 0 while it does not run."""
        return int(self.show(unit, "MainPID") or 0)

    def signal(self, unit: str, name: str) -> None:
        self.systemctl(f"kill --kill-who=main --signal={name} {unit}")

    def journal(self, unit: str, since_s: float) -> str:
        return self.container.run(f"journalctl --no-pager --output cat --since @{since_s:.3f} {unit}").stdout

    def since(self, captured_s: float, camera: str | None = None) -> Verdicts:
        """Verdicts of frames captured after an instant of the wall clock."""
        return [
            verdict
            for verdict in self.reader.update()
            if verdict["captured_ns"] > captured_s * 1e9 and camera in (None, verdict["camera"])
        ]

    def inspected_again(self, cameras: tuple[str, ...], after_s: float, bound_s: float) -> float:
        """Return the seconds until frames of all these cameras, captured after an instant, are inspected."""
        return until(
            lambda: {v["camera"] for v in self.since(after_s) if v["decision"] != "uninspected"} >= set(cameras),
            bound_s,
            f"no inspected frame of {cameras}",
        )

    def uninspected(self, camera: str, after_s: float, said: str, bound_s: float) -> dict[str, Any]:
        """The first frame of a camera that is uninspected for a reason; it must come."""

        def found() -> list[dict[str, Any]]:
            return [v for v in self.since(after_s, camera) if any(said in reason for reason in v["reasons"])]

        until(lambda: bool(found()), bound_s, f"no frame of {camera} is uninspected for {said!r}")
        return found()[0]

    def healthy(self, bound_s: float = 60) -> None:
        """All stages run, both cameras are inspected, the PLC hears of it, and the line says so itself."""
        until(lambda: all(self.show(unit, "ActiveState") == "active" for unit in STAGES), bound_s, "not all run")
        now_s = time.time()
        self.inspected_again(("top", "side"), now_s, bound_s)
        until(lambda: self.plc.works(now_s), bound_s, "the PLC lets nothing pass")
        until(lambda: self.status()["healthy"], bound_s, "not healthy")

    def status(self) -> dict[str, Any]:
        """What `inspector status --json` says."""
        said = self.container.run("inspector status --config /etc/inspector/line.toml --json", check=False)
        return dict(json.loads(said.stdout)) if said.stdout else {"healthy": False, "findings": [said.stderr]}

    def must_add_up(self) -> None:
        """Ledger, order, decisions, gate, processes, sockets, shared memory and files, whatever has happened."""
        self.plc.update()
        self._ledger_balances()
        self._every_verdict_stands()
        self.plc.must_have_let_pass_only_what_was_inspected(self.reader.update())
        self._nothing_is_left_over()
        self.every_verdict_is_recorded(40)

    def _ledger_balances(self) -> None:
        status = self.show(DECIDE, "StatusText")
        found = LEDGER.search(status)
        assert found, status
        captured, *decided, pending = map(int, found.groups())
        assert captured == sum(decided)
        assert pending <= 40, "more than a deadline's worth of frames is pending"

    def _every_verdict_stands(self) -> None:
        expected: dict[str, int] = {}
        for verdict in self.reader.update():
            camera, frame = verdict["camera"], verdict["frame_id"]
            # An ingest that starts again counts from 0; nothing else may break the row.
            assert frame in (expected.get(camera, 0), 0), f"{camera}: {frame} after {expected.get(camera)}"
            expected[camera] = frame + 1
            if verdict["decision"] == "uninspected":
                assert verdict["reasons"]
            else:
                assert verdict["stage_ms"]["engine"] >= 0, "judged without the engine's word"
                assert verdict["stage_ms"]["total"] <= DEADLINE_MS

    def every_verdict_is_recorded(self, bound_s: float) -> float:
        """Seconds until each verdict that the log has now is in the database, once; the database is whole."""
        given = {(v["camera"], v["frame_id"], v["captured_ns"]) for v in self.reader.update()}
        missing = set(given)

        def recorded() -> bool:
            # As the service's user: opening a database may create files beside it.
            query = f"runuser -u inspector-decide -- {PYTHON} -c '{ROWS}' {STATE}/records.sqlite"
            rows = [tuple(row) for row in json.loads(self.container.run(query).stdout)]
            assert len(rows) == len(set(rows)), "a verdict stands there twice"
            missing.difference_update(rows)
            return not missing

        return until(recorded, bound_s, f"not all of {len(given)} verdicts are in the database")

    def _nothing_is_left_over(self) -> None:
        running = {process.pid: process.command for user in USERS for process in self.container.processes(user)}
        assert running.keys() == {self.pid(unit) for unit in STAGES}, running
        left = self.container.run("cd /run/inspector && find * ; ls /dev/shm").stdout.split()
        assert all(SOCKETS.fullmatch(name) for name in left), left
        assert not list(self.state.rglob("*.part"))
