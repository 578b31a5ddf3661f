"""The `inspector` command line. Exit codes: 0 done; 1 the work failed; 2 wrong usage, config or input; 3 differs
from --golden."""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

import structlog

from inspector import __version__, logs
from inspector.config import LoadedConfig, load_config
from inspector.errors import InspectorError
from inspector.processes import PROCESSES


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    logs.configure(options.command)
    try:
        return _run(options)
    except InspectorError as error:
        print(f"inspector {options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 1


def _run(options: argparse.Namespace) -> int:
    """Each command's code is imported when it runs, so that `--help` answers at once."""
    match options.command:
        case "run":
            from inspector.commands.run import run

            return run(options.config, options.out, as_json=options.json)
        case "replay":
            from inspector.commands.replay import replay

            return replay(options.source, options.config, options.out, options.golden, as_json=options.json)
        case "record":
            from inspector.commands.record import record

            return record(options.config, options.source, options.camera, options.out, options.frames)
        case "check":
            from inspector.commands.check import check

            return check(options.config, options.source, as_json=options.json)
        case "bench":
            from inspector.commands.bench import bench

            return bench(options.config, frames=options.frames, rounds=options.rounds, as_json=options.json)
        case _:
            return _run_process(options)


def _run_process(options: argparse.Namespace) -> int:
    import cv2

    from inspector.processes.stop import stop_with_parent

    if options.child_of is not None:
        stop_with_parent(options.child_of)
    # One thread a stage: OpenCV's pool would spin on the cores that the engine needs.
    cv2.setNumThreads(1)
    config = load_config(options.config)
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
        raise
    finally:
        # All is drained and closed. Another SIGTERM while GPU libraries unload must not make a failure of that.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inspector",
        description="Inspects steel strip: every frame gets a verdict, in order, in time.",
        epilog="example: inspector replay frames/ --config configs/demo/line.toml --out out/first",
    )
    parser.add_argument("--version", action="version", version=f"inspector {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = _command(commands, "run", "run a whole line, live, on this PC", "inspector run --config line.toml")
    run.add_argument("--out", type=Path, help="folder of this run (default: a new one in sinks.out)")
    _json(run)

    replay = _command(
        commands,
        "replay",
        "inspect a folder of images, a video or a recording",
        "inspector replay frames/ --config line.toml --out out/coil-17 --golden out/coil-17-approved",
    )
    replay.add_argument("source", type=Path, metavar="SOURCE", help="folder of images, video file, or recording")
    replay.add_argument(
        "--out", type=Path, required=True, help="folder for verdicts, summary, report and pictures"
    )
    replay.add_argument("--golden", type=Path, help="folder of an earlier replay: exit 3 where verdicts differ")
    _json(replay)

    record = _command(
        commands,
        "record",
        "keep frames of a camera without loss",
        "inspector record --config line.toml --camera top --frames 2000 --out recordings/coil-17",
    )
    record.add_argument(
        "source", type=Path, nargs="?", metavar="SOURCE", help="folder or video instead of the camera"
    )
    record.add_argument("--camera", help="camera of the config (default: its first)")
    record.add_argument("--out", type=Path, required=True, help="folder of the recording, which must not exist")
    record.add_argument("--frames", type=_positive, help="stop after so many")

    check = _command(
        commands,
        "check",
        "say whether a line would start: config, recipe, engine, golden frames, sources",
        "inspector check --config line.toml",
    )
    check.add_argument(
        "source", type=Path, nargs="?", metavar="SOURCE", help="look at this source, not the config's"
    )
    _json(check)

    bench = _command(
        commands,
        "bench",
        "measure the engine alone, the line over it, and the latency at half load",
        "inspector bench --config line.toml",
    )
    bench.add_argument("--frames", type=_positive, default=1000, help="frames of each measurement (default 1000)")
    bench.add_argument("--rounds", type=_positive, default=3, help="engine and line in turn, so many times")
    _json(bench)

    for process in PROCESSES:
        example = f"inspector {process.name} --config line.toml" + (" --camera top" if process.per_camera else "")
        stage = _command(
            commands, process.name, f"one stage of the line; ready when {process.ready_when}", example
        )
        if process.per_camera:
            stage.add_argument("--camera", help="camera of the config (default: its first)")
        stage.add_argument("--child-of", type=int, help=argparse.SUPPRESS)
        stage.add_argument("--identity", help=argparse.SUPPRESS)
    return parser


def _command(commands: Any, name: str, what: str, example: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=f"example: {example}"
    )
    command.add_argument("--config", type=Path, required=True, help="the line's config (line.toml)")
    return command


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object for a program to read")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value
