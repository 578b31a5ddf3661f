"""The `inspector` command line. Exit codes: 0 done; 1 the work failed; 2 wrong usage, config or input; 3
differs from --golden; 130 Ctrl-C."""

from collections.abc import Sequence
from typing import Final

from inspector.program import Command, Program

INSPECT, PREPARE, WATCH, RESULTS, ENGINES, STAGES = (
    "inspect strip",
    "prepare a line",
    "watch and change a running line",
    "read and keep results",
    "make keys and sign engines",
    "stages of a line (started by `inspector run` or by systemd)",
)

COMMANDS: Final = {
    "run": Command("inspector.commands.run", "run a whole line, live, on this PC", INSPECT),
    "replay": Command("inspector.commands.replay", "inspect a folder of images, a video or a recording", INSPECT),
    "check": Command("inspector.commands.check", "check whether a line would start: files, cameras, PLC", PREPARE),
    "cameras": Command("inspector.commands.cameras", "list the cameras that answer", PREPARE),
    "recipe": Command("inspector.commands.recipe", "write a first recipe for an engine", PREPARE),
    "calibrate": Command("inspector.commands.calibrate", "learn from sound steel which pictures are fit", PREPARE),
    "record": Command("inspector.commands.record", "save frames of a camera without loss", PREPARE),
    "bench": Command("inspector.commands.bench", "measure the engine, the line and its latency", PREPARE),
    "status": Command("inspector.commands.status", "show the state of the running line", WATCH),
    "serve": Command("inspector.commands.serve", "serve the operator's page", WATCH),
    "mqtt": Command("inspector.commands.mqtt", "send results to an MQTT broker", WATCH),
    "opcua": Command("inspector.commands.opcua", "serve results and plans over OPC UA", WATCH),
    "user": Command("inspector.commands.user", "add, remove or list accounts of the page", WATCH),
    "ack": Command("inspector.commands.ack", "list or acknowledge alarms", WATCH),
    "event": Command("inspector.commands.event", "note an event, such as a roll change", WATCH),
    "coil": Command("inspector.commands.coil", "report that a coil starts or ends, or show coils", WATCH),
    "swap": Command("inspector.commands.swap", "change the engine of a running line", WATCH),
    "shadow": Command("inspector.commands.shadow", "let a candidate engine see the line's frames", WATCH),
    "promote": Command("inspector.commands.promote", "swap in an engine that proved better", WATCH),
    "acceptance": Command("inspector.commands.acceptance", "estimate escape and overkill in service", RESULTS),
    "report": Command("inspector.commands.report", "write the report of a run, a coil or the last hours", RESULTS),
    "collect": Command("inspector.commands.collect", "add frames to the review queue, such as escapes", RESULTS),
    "review": Command("inspector.commands.review", "write who reviewed which frame, and why", RESULTS),
    "dataset": Command("inspector.commands.dataset", "write reviewed frames as a data set", RESULTS),
    "reinspect": Command("inspector.commands.reinspect", "try an engine on an archive of frames", RESULTS),
    "export": Command("inspector.commands.export", "write records to a CSV or Parquet file", RESULTS),
    "mark": Command("inspector.commands.mark", "keep records and pictures of coils and frames", RESULTS),
    "unmark": Command("inspector.commands.unmark", "remove marks", RESULTS),
    "records": Command("inspector.commands.records", "copy verdicts from logs into the database", RESULTS),
    "keys": Command("inspector.commands.keys", "make keys for a line, a viewer or signing", ENGINES),
    "sign": Command("inspector.commands.sign", "sign an engine folder", ENGINES),
    "ingest": Command("inspector.commands.ingest", "one camera: frames to the worker", STAGES),
    "worker": Command("inspector.commands.worker", "the engine: frames to maps", STAGES),
    "decide": Command("inspector.commands.decide", "the verdicts: maps to decisions", STAGES),
    "archive": Command("inspector.commands.archive", "all frames, without loss, for later", STAGES),
    "strip": Command("inspector.commands.strip", "position, coils and Level 2", STAGES),
}
"""Name → module, one line of help, and group. A module is imported only when its command is given."""

PROGRAM: Final = Program(
    name="inspector",
    description="Inspects steel strip: every frame gets a verdict, in order, in time.",
    example="inspector replay frames/ --config configs/demo/line.toml --out out/first",
    commands=COMMANDS,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return PROGRAM.main(argv)
