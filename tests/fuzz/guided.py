"""Inputs that grow towards code not reached yet (atheris): `test_guided.py` runs a little of it, a person hours.

    mkdir -p out/fuzz && cd out/fuzz
    PYTHONPATH=../.. ../../.venv/bin/python -m tests.fuzz.guided line.toml -max_total_time=3600

All it writes lies in the folder it runs in: `corpus/` keeps what reached something new, crash-… is what broke a
promise and is tried again with `python -m tests.fuzz.guided line.toml crash-…`.
"""

import contextlib
import logging
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["inspector", "tomllib"]):
    import structlog

    from inspector.backends.instant import write_engine
    from inspector.config.line import load_config
    from inspector.config.recipe import load_recipe
    from inspector.engine import golden
    from inspector.engine.manifest import open_folder
    from inspector.errors import InputError, InspectorError
    from inspector.images import ImageFault, decode_mono
    from inspector.sinks.log.verdict_log import VerdictLog, last_places
    from inspector.sources.recording.source import RecordingSource, RecordingWriter
    from inspector.values import Capture
    from tests.fuzz.test_pictures import MOST_CAPTURES, PICTURES, VERDICT
    from tests.fuzz.test_settings import PLANT, must_be_read_or_refused_in_one_line
    from tests.fuzz.test_wire_messages import MESSAGES, must_be_refused_or_decoded
    from tests.support.frames import make_frame

Try = Callable[[bytes], object]
Target = Callable[[Path], tuple[Try, list[bytes]]]
"""The inputs to try, and valid ones to begin with, from a separate folder."""


def wire(_folder: Path) -> tuple[Try, list[bytes]]:
    return lambda content: must_be_refused_or_decoded([content]), MESSAGES


def setting(name: str, read: Callable[[Path], object]) -> Target:
    def target(folder: Path) -> tuple[Try, list[bytes]]:
        path = folder / name

        def attempt(content: bytes) -> None:
            path.write_bytes(content)
            must_be_read_or_refused_in_one_line(read, path)

        return attempt, [(PLANT / name).read_bytes()]

    return target


def manifest(folder: Path) -> tuple[Try, list[bytes]]:
    path = write_engine(folder / "engine", height=8, width=8).path / "manifest.json"
    whole = path.read_bytes()

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        must_be_read_or_refused_in_one_line(lambda manifest: open_folder(manifest.parent), path)

    return attempt, [whole]


def golden_frames(folder: Path) -> tuple[Try, list[bytes]]:
    path = write_engine(folder / "engine", height=8, width=8).path / "golden.npz"
    whole = path.read_bytes()

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            golden.load(path)

    return attempt, [whole]


def picture(_folder: Path) -> tuple[Try, list[bytes]]:
    def attempt(content: bytes) -> None:
        with contextlib.suppress(ImageFault):
            decode_mono(content)

    return attempt, PICTURES


def recording(name: str) -> Target:
    def target(folder: Path) -> tuple[Try, list[bytes]]:
        path = folder / "recording"
        with RecordingWriter(path, "top", mm_per_px=0.5) as writer:
            for number in range(3):
                writer.append(Capture(make_frame(number, 24, 40), captured_ns=number, position_mm=12.0 * number))
        whole = (path / name).read_bytes()

        def attempt(content: bytes) -> None:
            (path / name).write_bytes(content)
            with contextlib.suppress(InspectorError), RecordingSource(path) as source:
                for capture in islice(source.captures(), MOST_CAPTURES):
                    assert capture is None or (capture.pixels is None) != (capture.fault is None)

        return attempt, [whole]

    return target


def verdict_log(folder: Path) -> tuple[Try, list[bytes]]:
    def attempt(content: bytes) -> None:
        (folder / "verdicts.jsonl").write_bytes(content)
        VerdictLog(folder).close()
        last_places(folder, ["top"])

    return attempt, [b"".join(VERDICT % frame for frame in range(6))]


TARGETS: dict[str, Target] = {
    "wire": wire,
    "line.toml": setting("line.toml", load_config),
    "recipe.toml": setting("recipe.toml", load_recipe),
    "manifest.json": manifest,
    "golden.npz": golden_frames,
    "picture": picture,
    "recording.json": recording("recording.json"),
    "frames.jsonl": recording("frames.jsonl"),
    "verdicts.jsonl": verdict_log,
}


def main() -> None:
    """Fuzz the target that is named first; the rest goes to libFuzzer, which ends this process itself."""
    name, *options = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    folder, corpus = Path("input").absolute(), Path("corpus")
    folder.mkdir(exist_ok=True)
    corpus.mkdir(exist_ok=True)
    attempt, seeds = TARGETS[name](folder)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    again = any(Path(option).is_file() for option in options)
    atheris.Setup([name, *options, *([] if again else [str(corpus)])], attempt)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
