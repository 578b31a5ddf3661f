import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from inspector.errors import InputError, SourceError, WorkError
from inspector.sources.recording.source import RecordingSource, RecordingWriter
from inspector.values import Capture, Code, Pixels, Uninspected
from tests.support.frames import make_frame, make_frames

COUNT = 12
FRAMES = make_frames(COUNT)
FAULT_AT = 4
LOST = Uninspected(Code.STREAM_DAMAGED, "lost by the camera")


def captured(number: int, pixels: Pixels | None, fault: Uninspected | None = None) -> Capture:
    return Capture(
        pixels,
        fault,
        captured_ns=1_700_000_000_000_000_000 + number * 40_000_000,
        position_mm=100.5 + number * 32.0,
        coil="K-7" if number < 8 else None,
    )


CAPTURES = [captured(n, None, LOST) if n == FAULT_AT else captured(n, pixels) for n, pixels in enumerate(FRAMES)]


def record(path: Path, captures: Sequence[Capture] = CAPTURES) -> Path:
    with RecordingWriter(path, "top", mm_per_px=0.5) as writer:
        for capture in captures:
            writer.append(capture)
    return path


def read(path: Path) -> tuple[int | None, list[Capture]]:
    with RecordingSource(path) as source:
        return source.total(), [capture for capture in source.captures() if capture is not None]


def marks(captures: list[Capture]) -> str:
    return "".join("x" if capture.pixels is None else "." for capture in captures)


def same(a: Capture, b: Capture) -> bool:
    pixels = (a.pixels is None and b.pixels is None) or np.array_equal(a.pixels, b.pixels)  # type: ignore[arg-type]
    return pixels and (a.fault, a.captured_ns, a.position_mm, a.coil) == (
        b.fault,
        b.captured_ns,
        b.position_mm,
        b.coil,
    )


def edit_lines(path: Path, edit: object) -> None:
    assert callable(edit)
    sidecar = path / "frames.jsonl"
    sidecar.write_bytes(edit(sidecar.read_bytes()))


def test_what_was_recorded_comes_back_bit_exact_with_times_positions_coils_and_faults(tmp_path: Path) -> None:
    """The whole captured run, twice the same."""
    path = record(tmp_path / "recording")
    for _ in range(2):
        total, captures = read(path)
        assert total == COUNT
        assert all(same(a, b) for a, b in zip(captures, CAPTURES, strict=True))
    with RecordingSource(path) as source:
        assert source.camera == "top"
        assert list(source.sizes()) == [("frames.mkv", (64, 160))]
    index = json.loads((path / "recording.json").read_text())
    assert (index["schema_version"], index["frames"], index["mm_per_px"]) == (1, COUNT, 0.5)
    assert sorted(entry.name for entry in path.iterdir()) == ["frames.jsonl", "frames.mkv", "recording.json"]


@pytest.mark.parametrize("shape", [(2, 3), (33, 161), (200, 200), (256, 1600)])
def test_frames_of_any_size_are_kept_without_loss(tmp_path: Path, shape: tuple[int, int]) -> None:
    """Odd sizes, and noise that does not compress."""
    random = np.random.default_rng(3)
    frames = [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(3)]
    path = record(tmp_path / "recording", [Capture(pixels) for pixels in frames])
    _, captures = read(path)
    assert all(np.array_equal(a.pixels, b) for a, b in zip(captures, frames, strict=True))  # type: ignore[arg-type]


def test_a_frame_of_another_size_is_recorded_as_a_fault(tmp_path: Path) -> None:
    """The first frame sets the size; no frame is left out."""
    odd = make_frame(1, 32, 160)
    path = record(tmp_path / "recording", [CAPTURES[0], Capture(odd), CAPTURES[2]])
    _, captures = read(path)
    assert marks(captures) == ".x."
    assert captures[1].fault == Uninspected(Code.WRONG_SIZE, "frame is 32×160, the recording holds 64×160")


def test_a_recording_of_faults_alone_can_be_replayed(tmp_path: Path) -> None:
    """A camera that never gave a frame leaves no video."""
    path = record(tmp_path / "recording", [Capture(None, LOST)] * 3)
    total, captures = read(path)
    assert total == 3
    assert [capture.fault for capture in captures] == [LOST] * 3
    with RecordingSource(path) as source:
        assert list(source.sizes()) == []


def test_a_folder_that_is_not_empty_is_not_recorded_into(tmp_path: Path) -> None:
    """An earlier recording is never overwritten."""
    record(tmp_path / "recording")
    before = (tmp_path / "recording" / "frames.mkv").read_bytes()
    with pytest.raises(InputError, match="not empty"), RecordingWriter(tmp_path / "recording", "top"):
        pass
    assert (tmp_path / "recording" / "frames.mkv").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot record into it"), RecordingWriter(tmp_path / "file", "top"):
        pass


def test_a_frame_that_is_missing_from_the_video_is_a_fault_in_its_place(tmp_path: Path) -> None:
    """The video is cut off: what it lacks is said frame by frame, with its time and position."""
    path = record(tmp_path / "recording")
    video = path / "frames.mkv"
    data = video.read_bytes()
    video.write_bytes(data[: int(len(data) * 0.6)])
    total, captures = read(path)
    assert total == len(captures) == COUNT
    kept = marks(captures).rstrip("x")
    assert 4 < len(kept) < COUNT
    assert all(same(a, b) for a, b in zip(captures[: len(kept)], CAPTURES, strict=False))
    missing = captures[len(kept)]
    assert missing.fault == Uninspected(Code.UNREADABLE, f"frame {len(kept)} is missing from the recording")
    assert missing.position_mm == CAPTURES[len(kept)].position_mm
    assert missing.captured_ns == CAPTURES[len(kept)].captured_ns


def test_frames_around_a_hole_in_the_video_keep_their_places(tmp_path: Path) -> None:
    """Frames are found by their ids, so that losing one does not shift the others along the strip."""
    path = record(tmp_path / "recording")
    data = bytearray((path / "frames.mkv").read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 8] = bytes(len(data) // 8)
    (path / "frames.mkv").write_bytes(data)
    _, captures = read(path)
    assert len(captures) == COUNT
    lost = [n for n, capture in enumerate(captures) if capture.pixels is None and n != FAULT_AT]
    assert 1 <= len(lost) <= 4
    assert captures[-1].pixels is not None
    assert all(same(a, b) for n, (a, b) in enumerate(zip(captures, CAPTURES, strict=True)) if n not in lost)


def test_one_flipped_bit_costs_one_frame(tmp_path: Path) -> None:
    """The checksum is over the pixels, so nothing damaged is inspected."""
    path = record(tmp_path / "recording")
    data = bytearray((path / "frames.mkv").read_bytes())
    data[len(data) // 3] ^= 0x04
    (path / "frames.mkv").write_bytes(data)
    _, captures = read(path)
    assert len(captures) == COUNT
    damaged = [c.fault.text for c in captures if c.fault is not None and c.fault != LOST]
    assert len(damaged) == 1
    assert "checksum differs" in damaged[0] or "cannot be decoded" in damaged[0]


@pytest.mark.parametrize(
    ("tear", "kept"),
    [
        (lambda text: b"".join(text.splitlines(keepends=True)[:7]) + text.splitlines()[7][:40], 7),
        (lambda text: b"".join(text.splitlines(keepends=True)[:7]), 7),
        (lambda text: b"".join([*text.splitlines(True)[:5], b"{]\n", *text.splitlines(True)[6:]]), 5),
        (lambda text: b"".join([*text.splitlines(True)[:5], *text.splitlines(True)[6:]]), 5),
        (lambda text: text[: text.index(b'"frame_id":9')] + bytes(300), 9),
        (lambda text: text.replace(b'"frame_id":6,', b'"frame_id":"6",'), 6),
        (lambda text: b"\xff\xfe" + text, 0),
        (lambda text: text[:0], 0),
    ],
    ids=[
        "cut in a line",
        "cut after a line",
        "no JSON",
        "a line lost",
        "zeros",
        "wrong type",
        "no UTF-8",
        "empty",
    ],
)
@pytest.mark.parametrize("closed", [True, False])
def test_a_torn_sidecar_keeps_the_frames_before_the_tear_and_says_the_rest(
    tmp_path: Path, tear: object, kept: int, closed: bool
) -> None:
    """Every frame that is known to have been captured comes out, closed recording or not."""
    path = record(tmp_path / "recording")
    edit_lines(path, tear)
    if not closed:
        index = json.loads((path / "recording.json").read_text())
        (path / "recording.json").write_text(json.dumps(index | {"frames": None, "sidecar_sha256": None}))
    total, captures = read(path)
    assert total == (COUNT if closed else None)
    assert len(captures) == COUNT
    assert all(same(a, b) for a, b in zip(captures[:kept], CAPTURES, strict=False))
    for number in range(kept, COUNT):
        assert captures[number].pixels is None
        assert f"frame {number} has no time and position: the sidecar" in str(captures[number].fault)
        assert f"after {kept} frames" in str(captures[number].fault)


RECORDER = """
    import sys, resource
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from tests.support.frames import make_frame
    from inspector.errors import WorkError
    from inspector.sources.recording.source import RecordingWriter
    from inspector.values import Capture
    limit = int(sys.argv[2])
    try:
        with RecordingWriter(Path(sys.argv[1]), "top") as writer:
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            for number in range(100_000):
                writer.append(Capture(make_frame(number % 50), captured_ns=number, position_mm=float(number)))
                print(number, flush=True)
    except WorkError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
"""


def recorder(path: Path, limit_bytes: int = 0) -> "subprocess.Popen[str]":
    tests = str(Path(__file__).parents[4])
    code = textwrap.dedent(RECORDER).format(tests=tests)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(limit_bytes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[5],
    )


def last_line(text: str) -> int:
    return int(text.rsplit(maxsplit=1)[-1])


def test_a_recorder_that_is_killed_loses_at_most_its_last_frame(tmp_path: Path) -> None:
    """SIGKILL while it writes: everything that append returned for is accounted, all but one of it with pixels."""
    path = tmp_path / "recording"
    process = recorder(path)
    deadline = time.monotonic() + 20
    while not (path / "frames.mkv").exists() or (path / "frames.mkv").stat().st_size < 200_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate()
    appended = last_line(out.rsplit("\n", 1)[0]) + 1
    total, captures = read(path)
    assert total is None
    assert appended <= len(captures) <= appended + 1
    good = [n for n, capture in enumerate(captures) if capture.pixels is not None]
    assert good == list(range(len(good)))
    assert len(good) >= appended - 1
    for number in (0, len(good) // 2, len(good) - 1):
        assert np.array_equal(captures[number].pixels, make_frame(number % 50))  # type: ignore[arg-type]
        assert captures[number].position_mm == float(number)


def test_a_disk_that_fills_up_ends_the_recording_with_one_clear_line_and_leaves_it_readable(
    tmp_path: Path,
) -> None:
    """The system refuses to write more: the recorder says so and exits 1; what was written can be replayed."""
    path = tmp_path / "recording"
    process = recorder(path, limit_bytes=300_000)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "recording stopped after" in errors
    assert "File too large" in errors
    assert "Traceback" not in errors
    appended = last_line(out) + 1
    _, captures = read(path)
    assert appended <= len(captures) <= appended + 1
    good = sum(capture.pixels is not None for capture in captures)
    assert good >= appended - 2
    assert marks(captures).startswith("." * good)


def test_nothing_is_written_after_a_failure(tmp_path: Path) -> None:
    """A full disk (the kernel's own, /dev/full) stops the recording; a later frame must not leave a hole."""
    path = tmp_path / "recording"
    with RecordingWriter(path, "top") as writer:
        writer.append(CAPTURES[0])
        assert writer._sidecar is not None
        writer._sidecar.close()
        writer._sidecar = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 (the writer closes it)
        with pytest.raises(WorkError, match="stopped after 1 frames: No space left on device"):
            writer.append(CAPTURES[1])
        with pytest.raises(RuntimeError):
            writer.append(CAPTURES[2])
    total, captures = read(path)
    assert total is None
    assert marks(captures) == ".x", "the video was one frame ahead of the sidecar"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: (path / "recording.json").unlink(), "recording.json: cannot be read"),
        (lambda path: (path / "recording.json").write_text("{"), "not the index of a recording"),
        (lambda path: (path / "recording.json").write_text('{"schema_version": 1}'), "not the index"),
        (
            lambda path: (path / "recording.json").write_text(
                '{"schema_version": 9, "camera": "top", "made_by": "strip-inspector 9.0"}'
            ),
            "schema version 9",
        ),
        (lambda path: (path / "frames.jsonl").unlink(), "frames.jsonl: cannot be read"),
        (lambda path: (path / "frames.mkv").unlink(), "frames.mkv is missing"),
    ],
)
def test_a_recording_that_cannot_be_opened_is_one_clear_line(tmp_path: Path, damage: object, says: str) -> None:
    """A part that is missing, or one that another version wrote."""
    assert callable(damage)
    path = record(tmp_path / "recording")
    damage(path)
    with pytest.raises(SourceError) as caught, RecordingSource(path):
        pass
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_video_that_cannot_be_opened_leaves_every_frame_accounted(tmp_path: Path) -> None:
    """The sidecar still knows what was captured, and when."""
    path = record(tmp_path / "recording")
    (path / "frames.mkv").write_bytes(b"")
    total, captures = read(path)
    assert total == len(captures) == COUNT
    assert marks(captures) == "x" * COUNT
    assert captures[0].captured_ns == CAPTURES[0].captured_ns


def test_a_recording_of_another_scale_is_refused_or_converted(tmp_path: Path) -> None:
    """Its positions were counted at the recipe's mm per pixel of that day."""
    path = record(tmp_path / "recording")
    says = r"recorded at 0.5 mm per pixel, the recipe has 0.25.*rescale = true"
    with pytest.raises(SourceError, match=says) as caught, RecordingSource(path, mm_per_px=0.25):
        pass
    assert "\n" not in str(caught.value)
    with RecordingSource(path, mm_per_px=0.25, rescale=True) as source:
        positions = [capture.position_mm for capture in source.captures() if capture is not None]
    assert positions == [capture.position_mm / 2 for capture in CAPTURES if capture.position_mm is not None]
    with RecordingSource(path, mm_per_px=0.5) as source:
        assert [c.position_mm for c in source.captures() if c is not None] == [c.position_mm for c in CAPTURES]
