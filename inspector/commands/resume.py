"""`inspector replay --resume`: continues a replay that was killed or stopped, from its verdict log."""

import os
from pathlib import Path
from typing import Final

import msgspec

from inspector.commands.replay import finish
from inspector.commands.session import run_session
from inspector.config.line import LineConfig, default_links, load_config
from inspector.config.recipe import load_recipe
from inspector.engine.signature import open_trusted
from inspector.errors import InputError
from inspector.ingest.resume import keep_order
from inspector.results import CONFIG_NAME, VERDICTS_NAME
from inspector.sinks.summary import SUMMARY_NAME
from inspector.sources import open_source
from inspector.values import Code, Decision, Verdict

WARM_UP_FRAMES: Final = 16
"""Frames before the first missing one that are inspected again, without a second verdict: a defect that
continues from them has the same id and total area as in a replay without a break. A defect that the log shows in
an even earlier frame adds more."""

OF_THE_BREAK: Final = frozenset({Code.STOPPED, Code.SHED, Code.ANNOUNCEMENT_LOST, Code.INGEST_RESTARTED})
"""Why frames of a replay are uninspected only because it was stopped or one of its stages was killed."""


def resume(out: Path, golden: Path | None, *, as_json: bool) -> int:
    """Inspect the remaining frames of the replay in `out`; returns the exit code. Raises InspectorError."""
    out = out.resolve()
    path = out / CONFIG_NAME
    if not path.exists():
        raise InputError(f"{out}: not a replay that can be continued: it has no {CONFIG_NAME}")
    config = load_config(path)
    if not config.line.replay:
        raise InputError(f"{out}: holds a live run: only a replay can be continued")
    line = config.line.model_copy(update={"links": default_links()})
    finished = run_session(config, line, out, quiet=as_json, resume=lambda line: _resumed(line, out))
    return finish(finished, golden, config.line, as_json=as_json)


def _resumed(line: LineConfig, out: Path) -> LineConfig:
    """Return the line with its first frame to inspect; cut the partial end off the log. Raises InputError."""
    log = out / VERDICTS_NAME
    (camera,) = line.cameras
    verdicts, whole_bytes = _read(log, camera, keep_all=line.records.enabled) if log.exists() else ([], 0)
    _check_identity(line, log, verdicts)
    keep_order(open_source(line.cameras[camera]), [verdict.file for verdict in verdicts])
    if log.exists():
        os.truncate(log, whole_bytes)
    for name in (SUMMARY_NAME, "report.html"):
        (out / name).unlink(missing_ok=True)
    return line.model_copy(update={"resume_frames": _warm_up_start(verdicts)})


def _read(log: Path, camera: str, *, keep_all: bool) -> tuple[list[Verdict], int]:
    """Return the verdicts before the break and their size, bytes. Raises InputError for missing frames."""
    decoder = msgspec.json.Decoder(Verdict)
    verdicts: list[Verdict] = []
    size = 0
    with log.open("rb") as lines:
        for number, line in enumerate(lines):
            if not line.endswith(b"\n"):
                break  # torn by the kill
            try:
                verdict = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise InputError(
                    f"{log}: line {number + 1} is not a verdict ({error}): start a new replay"
                ) from None
            if (verdict.camera, verdict.frame_id) != (camera, number):
                raise InputError(
                    f"{log}: line {number + 1} is frame {verdict.frame_id} of camera {verdict.camera}, expected "
                    f"frame {number} of {camera}: start a new replay"
                )
            if not keep_all and not OF_THE_BREAK.isdisjoint(verdict.codes):
                break
            verdicts.append(verdict)
            size += len(line)
    return verdicts, size


def _check_identity(line: LineConfig, log: Path, verdicts: list[Verdict]) -> None:
    """Raise InputError if the engine or recipe has changed since the replay began."""
    inspected = next((each for each in reversed(verdicts) if each.decision is not Decision.UNINSPECTED), None)
    if inspected is None:
        return
    engine = open_trusted(line.engine, line.trusted_keys)
    recipe = load_recipe(line.recipe).bind(engine.classes)
    for what, then, now in (
        ("engine", inspected.engine, engine.identity),
        ("recipe", inspected.recipe, recipe.identity),
    ):
        if then != now:
            raise InputError(f"{log}: made with {what} {then}, which is {now} now: start a new replay")


def _warm_up_start(verdicts: list[Verdict]) -> int:
    start = max(0, len(verdicts) - WARM_UP_FRAMES)
    while 0 < start < len(verdicts):
        before, after = ({defect.id for defect in verdicts[at].defects} for at in (start - 1, start))
        if before.isdisjoint(after):
            break
        start -= 1
    return start
