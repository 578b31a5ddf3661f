"""Verdicts and databases for the tests of the records."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import create_engine, text

from inspector.results import REJECTS_FOLDER, VERDICTS_NAME
from inspector.sinks.log.verdict_log import VerdictLog
from inspector.sinks.records.database import Database
from inspector.sinks.records.retention import Keep
from inspector.sinks.records.rows import Run
from inspector.sinks.records.writer import Records
from inspector.values import Decision, Defect, Verdict
from tests.support.ports import free_port

SECOND_NS: Final = 1_000_000_000
STARTED_NS: Final = 1_770_000_000 * SECOND_NS
KEEP_ALL: Final = Keep(None, None)


def defect(defect_id: str, area_px: int = 100, kind: int = 1, along_mm: float = 10.0) -> Defect:
    return Defect(defect_id, kind, "scratches", (4, 2, 10, 10), area_px, area_px / 4, 20.0, along_mm, 0.75)


def verdict(
    frame_id: int, *defects: Defect, camera: str = "top", coil: str | None = "C-1", **more: Any
) -> Verdict:
    fields: dict[str, Any] = {
        "camera": camera,
        "frame_id": frame_id,
        "captured_ns": STARTED_NS + frame_id * SECOND_NS // 100,
        "position_mm": 128.0 * frame_id,
        "coil": coil,
        "decision": Decision.REJECT if defects else Decision.ACCEPT,
        "reasons": tuple(f"scratches {each.area_mm2:.0f} mm² ≥ 20" for each in defects),
        "defects": defects,
        "recipe": "r@1",
        "engine": "e@1",
        "stage_ms": {"transfer": 0.5, "batch": 1.0, "engine": 8.5, "decide": 0.25, "total": 10.25},
    }
    return Verdict(**(fields | more))


class RunOnRecord:
    """A run's folder, its verdict log and its records, as decide keeps them."""

    def __init__(self, folder: Path, url: str | None = None, key: str = "run-1", keep: Keep = KEEP_ALL) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True, parents=True)
        self.url = url or f"sqlite:///{folder.parent / 'records.sqlite'}"
        self.database = Database(self.url)
        links = folder.parent / f"{folder.name}-links"
        links.mkdir(exist_ok=True)
        self.log = VerdictLog(folder, links=links)
        self.run = Run(key, "line@1", socket.gethostname(), folder)
        logs = [folder / VERDICTS_NAME]
        self.records = Records(self.url, self.run, lambda: logs, folder / REJECTS_FOLDER, keep)

    def write(self, *verdicts: Verdict) -> None:
        for each in verdicts:
            self.log.write(each)
            self.records.write(each)
        self.log.flush()
        self.records.flush()

    def on_disk(self) -> None:
        """Until the log has all that was written."""
        self.log.flush()
        wait_until(lambda: not self.log.waiting)

    def settle(self, timeout: float = 30) -> None:
        """Until nothing waits."""
        wait_until(lambda: not self.records.waiting, timeout)

    def close(self) -> None:
        self.log.close()
        self.records.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return rows(self.url, sql)


def wait_until(condition: Callable[[], bool], timeout: float = 30) -> None:
    """Fails where it never comes true."""
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, f"not within {timeout} s"
        time.sleep(0.02)


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, over a separate connection."""
    engine = create_engine(Database(url).connects_to)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]
    finally:
        engine.dispose()


class Postgres:
    """A PostgreSQL server for tests, from Debian's package, run as a user other than root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"postgresql://postgres:se%2Fcr%3Aet@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        password = self.folder / "password"
        password.write_text("se/cr:et")
        self._give(self.folder)
        arguments = ("--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--encoding=UTF8")
        self._run("initdb", "-D", self.folder / "data", "-U", "postgres", *arguments)

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 -c fsync=off -c max_connections=20"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-o", options, "-w", "start")

    def stop(self) -> None:
        """At once, as a server that loses its power."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            for each in (path, *path.rglob("*")):
                os.chown(each, user.pw_uid, user.pw_gid)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(postgres_programs() / program), *map(str, arguments)]
        user = "postgres" if os.geteuid() == 0 else None
        done = subprocess.run(
            command, user=user, group=user, extra_groups=[] if user else None, cwd="/", stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def postgres_programs() -> Path:
    """Return the folder of the newest installed server; skips without one."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if versions:
        return versions[-1].parent
    if found := shutil.which("initdb"):
        return Path(found).parent
    pytest.skip("no PostgreSQL here: apt install postgresql")
