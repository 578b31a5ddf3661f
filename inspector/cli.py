"""The `inspector` command line. Exit codes: 0 done; 1 the work failed; 2 wrong usage, config or input; 3
differs from --golden."""

import argparse
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from inspector import __version__, logs
from inspector.config.line import LoadedConfig, load_config
from inspector.errors import InputError, InspectorError, WorkError
from inspector.passwords import masked
from inspector.supervisor.table import INGEST, PROCESSES, WORKER
from inspector.usage import Parser

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2261
"""Years that nanoseconds since 1970 can express in a database's integer."""

LONGEST_BENCH_S: Final = 3600.0

CONFIG_VARIABLE: Final = "INSPECTOR_CONFIG"
INSTALLED_CONFIG: Final = Path("/etc/inspector/line.toml")
"""Config of the installed service."""

LOOKING: Final = (
    "status",
    "check",
    "export",
    "mark",
    "unmark",
    "report",
    "serve",
    "user",
    "ack",
    "event",
    "review",
)
"""Commands that start no line: without --config they read the service's config."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    logs.configure(options.command)
    try:
        needs_no_line = options.command == "report" and options.run is not None
        if getattr(options, "config", ...) is None and not needs_no_line:
            options.config = _default_config(options.command)
        code = _run(options)
        sys.stdout.flush()  # inside the try: stdout may be a closed pipe
    except InspectorError as error:
        print(masked(f"inspector {options.command}: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:  # the reader of stdout (head, less) has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a disk that is full, read-only or gone; a PC out of memory or descriptors
        where = f"{error.filename}: " if error.filename else ""
        print(masked(f"inspector {options.command}: {where}{error.strerror or error}"), file=sys.stderr)
        return WorkError.exit_code
    return code


def _default_config(command: str) -> Path:
    """The config when --config is not given. Raises InputError."""
    if os.environ.get(CONFIG_VARIABLE):
        return Path(os.environ[CONFIG_VARIABLE])
    if command in LOOKING and INSTALLED_CONFIG.exists():
        return INSTALLED_CONFIG
    raise InputError(f"which line? give --config FILE, or set {CONFIG_VARIABLE}")


def _run(options: argparse.Namespace) -> int:
    """Run the command; its code is imported only then, so that `--help` answers at once."""
    match options.command:
        case "run":
            from inspector.commands.run import run

            return run(options.config, options.out, as_json=options.json)
        case "replay":
            from inspector.commands.replay import replay

            return replay(
                options.source,
                options.config,
                options.out,
                options.golden,
                records=options.records,
                as_json=options.json,
            )
        case "record" | "calibrate":
            return _run_source(options)
        case "export" | "records" | "report":
            return _run_records(options)
        case "mark" | "unmark":
            return _run_mark(options)
        case "check":
            return _run_check(options)
        case "bench":
            from inspector.commands.bench import bench

            return bench(
                options.config,
                seconds=options.seconds,
                frames=options.frames,
                rounds=options.rounds,
                as_json=options.json,
            )
        case "swap":
            from inspector.commands.swap import swap

            return swap(options.engine, options.config, as_json=options.json)
        case "keys" | "sign" | "recipe":
            return _run_maker(options)
        case "status":
            from inspector.commands.status import status

            return status(options.config, wait_s=options.wait, as_json=options.json)
        case "serve" | "user" | "ack" | "event" | "review":
            from inspector.commands.serve import run_page

            return run_page(options)
        case _:
            return _run_process(options)


def _run_maker(options: argparse.Namespace) -> int:
    """Run a command that makes a file and needs no line."""
    if options.command == "recipe":
        from inspector.commands.recipe import recipe

        return recipe(options.engine, options.out)
    from inspector.commands.keys import keys, sign

    if options.command == "keys":
        return keys(options.kind, options.out, options.name)
    return sign(options.engine, options.key)


def _run_source(options: argparse.Namespace) -> int:
    if options.command == "calibrate":
        from inspector.commands.calibrate import calibrate

        return calibrate(options.source, options.config, options.frames)
    from inspector.commands.record import record

    return record(options.config, options.source, options.camera, options.out, options.frames)


def _run_check(options: argparse.Namespace) -> int:
    from inspector.commands.check import Stage, check

    if options.camera is not None and options.stage != INGEST.name:
        raise InputError("--camera says which camera's ingest is meant: give --stage ingest, too")
    stage = Stage(options.stage, options.camera, options.engine) if options.stage else None
    return check(options.config, options.source, stage, engine=options.engine, as_json=options.json)


def _run_records(options: argparse.Namespace) -> int:
    if options.command == "records":
        from inspector.commands.records import import_runs

        return import_runs(options.config, options.runs, as_json=options.json)
    if options.command == "report":
        from inspector.commands.report import report

        return report(options.run, options.config, coil=options.coil, last=options.last, to=options.out)
    from inspector.commands.export import export

    return export(
        options.config,
        options.out,
        options.rows,
        coil=options.coil,
        camera=options.camera,
        from_ns=options.from_ns,
        to_ns=options.to_ns,
        as_json=options.json,
    )


def _run_mark(options: argparse.Namespace) -> int:
    from inspector.commands.mark import list_marks, mark, unmark

    if options.command == "unmark":
        return unmark(options.config, options.what, options.run)
    if options.list:
        if options.what:
            raise InputError("--list shows all that is marked: leave out what to mark")
        return list_marks(options.config, as_json=options.json)
    return mark(options.config, options.what, options.run, options.note, as_json=options.json)


def _run_process(options: argparse.Namespace) -> int:
    import cv2

    from inspector.runtime.notify import Notifier
    from inspector.runtime.stop import stop_with_parent

    if options.child_of is not None:
        stop_with_parent(options.child_of)
    # One thread per process: OpenCV's thread pool would spin on the cores that the engine needs.
    cv2.setNumThreads(1)
    config = load_config(options.config)
    if options.command == WORKER.name and options.engine is not None:
        config = config.with_engine(options.engine)
    if options.identity is not None:
        config = LoadedConfig(config.path, config.line, options.identity)
    process = next(each for each in PROCESSES if each.name == options.command)
    try:
        if process.per_camera:
            process.main()(config, options.camera or next(iter(config.line.cameras)))
        else:
            process.main()(config)
    except InspectorError as error:
        structlog.get_logger().error("stopped", error=str(error))
        # Shown by `systemctl status` and `inspector swap`.
        Notifier().tell(STATUS=f"stopped: {error}")
        raise
    finally:
        # Everything is drained and closed. A second SIGTERM while GPU libraries unload must not fail the exit.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="inspector",
        description="Inspects steel strip: every frame gets a verdict, in order, in time.",
        epilog="example: inspector replay frames/ --config configs/demo/line.toml --out out/first",
    )
    parser.add_argument("--version", action="version", version=f"inspector {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = _command(commands, "run", "run a whole line, live, on this PC", "inspector run --config line.toml")
    run.add_argument("--out", type=_path, help="folder of this run (default: a new one in sinks.out)")
    _json(run)

    replay = _command(
        commands,
        "replay",
        "inspect a folder of images, a video or a recording",
        "inspector replay frames/ --config line.toml --out out/coil-17 --golden out/coil-17-approved",
    )
    replay.add_argument("source", type=_path, metavar="SOURCE", help="folder of images, video file, or recording")
    replay.add_argument(
        "--out", type=_path, required=True, help="folder for verdicts, summary, report and pictures"
    )
    replay.add_argument("--golden", type=_path, help="folder of an earlier replay: exit 3 where verdicts differ")
    replay.add_argument("--records", action="store_true", help="write to the config's database too, as a live run")
    _json(replay)

    record = _command(
        commands,
        "record",
        "keep frames of a camera without loss",
        "inspector record --config line.toml --camera top --frames 2000 --out recordings/coil-17",
    )
    record.add_argument(
        "source", type=_path, nargs="?", metavar="SOURCE", help="folder or video instead of the camera"
    )
    record.add_argument("--camera", help="camera of the config (default: its first)")
    record.add_argument("--out", type=_path, required=True, help="folder of the recording, which must not exist")
    record.add_argument("--frames", type=_positive, help="stop after so many")

    calibrate = _command(
        commands, "calibrate", "learn from sound steel which pictures are fit, and print it for the recipe",
        "inspector calibrate recordings/coil-17 --config line.toml",
    )  # fmt: skip
    calibrate.add_argument("source", type=_path, metavar="SOURCE", help="folder of images, video, or recording")
    calibrate.add_argument("--frames", type=_positive, help="stop after so many sound ones (default: all)")

    check = _command(
        commands,
        "check",
        "say whether a line would start: config, recipe, engine, golden frames, cameras (opened), PLC (read from)",
        "inspector check --config line.toml",
    )
    check.add_argument(
        "source", type=_path, nargs="?", metavar="SOURCE", help="look at this source, not the config's"
    )
    check.add_argument(
        "--stage", choices=[process.name for process in PROCESSES], help="only what this stage needs; no camera"
    )
    check.add_argument("--camera", help="with --stage ingest: a camera of the config")
    _engine(check)
    _json(check)

    status = _command(
        commands,
        "status",
        "say how the running line stands; exit code 0 when it is healthy, 1 when not",
        "inspector status --config line.toml",
    )
    status.add_argument(
        "--wait", type=_seconds, default=0.0, metavar="S", help="ask again until it is healthy, so many seconds"
    )
    _json(status)

    _report(commands)
    _records(commands)

    swap = _command(
        commands,
        "swap",
        "put a line that runs on another engine, without a frame lost",
        "inspector swap engines/strip-2 --config line.toml",
    )
    swap.add_argument("engine", type=_path, metavar="ENGINE", help="engine folder for frames of the same size")
    _json(swap)

    bench = _command(
        commands,
        "bench",
        "measure the engine alone, the line over it, and the latency at half load",
        "inspector bench --config line.toml",
    )
    bench.add_argument("--seconds", type=_seconds, default=3.0, help="length of each measurement (default 3)")
    bench.add_argument("--frames", type=_positive, help="frames through the line each time, instead")
    bench.add_argument(
        "--rounds", type=_positive, default=9, help="engine and line by turns, so often (default 9)"
    )
    _json(bench)

    keys = _command(
        commands, "keys", "make the secrets of a line, a viewer, or a maker of engines",
        "inspector keys line --out /etc/inspector/keys", with_config=False,
    )  # fmt: skip
    keys.add_argument("kind", choices=["line", "viewer", "signing"])
    keys.add_argument("--out", type=_path, required=True, help="the line's key folder; for signing, a file")
    keys.add_argument("--name", help="of the viewer")

    recipe = _command(
        commands, "recipe", "write a recipe to start from, with a rule for each class of an engine",
        "inspector recipe engines/strip-fast --out recipe.toml", with_config=False,
    )  # fmt: skip
    recipe.add_argument("engine", type=_path, metavar="ENGINE", help="engine folder")
    recipe.add_argument("--out", type=_path, help="file to write, which must not exist (default: print it)")

    sign = _command(
        commands, "sign", "sign an engine folder, for lines that trust the key",
        "inspector sign engines/strip-fast --key signing.key", with_config=False,
    )  # fmt: skip
    sign.add_argument("engine", type=_path, metavar="DIR", help="engine folder")
    sign.add_argument("--key", type=_path, required=True, help="made by `inspector keys signing`")

    _page(commands)
    for process in PROCESSES:
        example = f"inspector {process.name} --config line.toml" + (" --camera top" if process.per_camera else "")
        stage = _command(
            commands, process.name, f"one stage of the line; ready when {process.ready_when}", example
        )
        if process is WORKER:
            _engine(stage)
        if process.per_camera:
            stage.add_argument("--camera", help="camera of the config (default: its first)")
        stage.add_argument("--child-of", type=int, help=argparse.SUPPRESS)
        stage.add_argument("--identity", help=argparse.SUPPRESS)
    return parser


def _report(commands: Any) -> None:
    report = _command(
        commands,
        "report",
        "write the report of a run, a coil or the last hours of a line",
        "inspector report --config line.toml --coil C-48213 --out coil.html",
        with_config=False,
    )
    report.add_argument("run", type=_path, nargs="?", metavar="RUN", help="folder of a run, replay or service")
    report.add_argument("--config", type=_path, help="the line's config: its sinks.out, in place of RUN")
    report.add_argument("--coil", help="only this coil")
    report.add_argument("--last", metavar="TIME", help="only what was captured in the last 30min, 8h or 2d")
    report.add_argument("--out", type=_path, metavar="FILE", help="HTML file to write (default: in RUN)")


def _records(commands: Any) -> None:
    """Add the commands that read and keep records."""
    export = _command(
        commands,
        "export",
        "write records of a coil, a camera or a time to a CSV or Parquet file",
        "inspector export --config line.toml --coil C-48213 --rows defects --out coil.csv",
    )
    export.add_argument("--out", type=_path, required=True, help="file to write, FILE.csv or FILE.parquet")
    export.add_argument(
        "--rows",
        choices=("verdicts", "defects"),
        default="verdicts",
        help="a row is a frame's verdict (default) or a defect, over all frames that show it",
    )
    export.add_argument("--coil", help="only this coil")
    export.add_argument("--camera", help="only this camera")
    time_of = "e.g. 2026-03-01T06:00, local time, or with +01:00 or Z"
    export.add_argument("--from", dest="from_ns", type=_time_ns, metavar="TIME", help=f"captured from, {time_of}")
    export.add_argument("--to", dest="to_ns", type=_time_ns, metavar="TIME", help="captured before")
    _json(export)

    records = commands.add_parser("records", help="bring what the database misses from the verdict logs")
    import_ = _command(
        records.add_subparsers(dest="action", required=True, metavar="ACTION"),
        "import",
        "write into the database what runs have logged and it does not have",
        "inspector records import runs/2026-11-29T06-00-00 --config line.toml",
    )
    import_.add_argument("runs", type=_path, nargs="+", metavar="RUN", help="folder of a run, or of a service")
    _json(import_)

    mark = _command(
        commands,
        "mark",
        "keep records and pictures of coils and frames, however old they get",
        "inspector mark C-48213 top:1234 --config line.toml --note 'claim 771'",
    )
    mark.add_argument("--note", default="", help="why")
    mark.add_argument("--list", action="store_true", help="show what is marked")
    _json(mark)
    unmark = _command(commands, "unmark", "take marks away", "inspector unmark C-48213 --config line.toml")
    for command in (mark, unmark):
        command.add_argument("what", nargs="*", metavar="COIL|CAMERA:FRAME", help="a coil, or one frame")
        command.add_argument(
            "--run", help="run of the frame, by its folder's name, where several have such a frame"
        )


def _page(commands: Any) -> None:
    """Add the commands of the operator's page."""
    _command(commands, "serve", "serve the operator's page of a line", "inspector serve --config line.toml")
    user = _command(
        commands, "user", "add, remove or list accounts of the page", "inspector user add kim --role operator"
    )
    user.add_argument("action", choices=("add", "remove", "list"))
    user.add_argument("name", nargs="?", help="of the account")
    user.add_argument("--role", choices=("viewer", "operator", "quality", "admin"), default="viewer")
    ack = _command(commands, "ack", "acknowledge alarms of a line", "inspector ack 12 --note 'lamp replaced'")
    ack.add_argument(
        "alarm", nargs="*", type=_positive, help="number of an alarm (default: list those that stand)"
    )
    ack.add_argument("--note", default="", help="why")
    event = _command(commands, "event", "note an event", "inspector event 'roll change' --text 'stand 4'")
    event.add_argument("kind", choices=("note", "roll change", "coil change", "cleaning", "maintenance"))
    event.add_argument("--text", default="", help="what happened")
    event.add_argument("--coil", help="coil that it concerns")
    review = _command(
        commands, "review", "write reviewed frames as a data set", "inspector review export --out data/reviewed"
    )
    review.add_argument("action", choices=("export",))
    review.add_argument("--out", type=_path, required=True, help="folder to write, which must be new or empty")


def _command(
    commands: Any, name: str, what: str, example: str, *, with_config: bool = True
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=f"example: {example}"
    )
    if with_config:
        installed = f", else {INSTALLED_CONFIG}" if name in LOOKING else ""
        command.add_argument(
            "--config", type=_path, help=f"the line's config (line.toml); default: ${CONFIG_VARIABLE}{installed}"
        )
    return command


def _engine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--engine", type=_path, metavar="DIR", help="this engine folder, not the config's")


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object for a program to read")


def _time_ns(text: str) -> int:
    """Convert ISO 8601 to ns since 1970."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write it as 2026-03-01T06:00") from None
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise argparse.ArgumentTypeError(f"{text!r}: records are of the years {FIRST_YEAR} to {LAST_YEAR}")
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1000


def _path(text: str) -> Path:
    """Convert to a path; refuses an empty one, which an unset variable gives: it would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 < value <= LONGEST_BENCH_S:
        raise argparse.ArgumentTypeError(f"must be over 0 and at most {LONGEST_BENCH_S:g}, got {text}")
    return value


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value
