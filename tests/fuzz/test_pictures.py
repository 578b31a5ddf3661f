"""Pictures and recordings that a disk has damaged, or that somebody has made on purpose."""

import contextlib
import io
import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inspector.errors import InspectorError
from inspector.images import ImageFault, decode_mono, read_size
from inspector.sinks.log.verdict_log import VerdictLog, last_places
from inspector.sources.recording.source import RecordingSource, RecordingWriter
from inspector.values import Capture, Code, Uninspected
from tests.fuzz.bounds import fuzz
from tests.support.frames import make_frame, make_frames

MOST_CAPTURES = 1_000


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(make_frame(1, 24, 40)).convert(str(options.pop("mode", "L"))).save(buffer, kind, **options)
    return buffer.getvalue()


PICTURES = [
    encoded("JPEG"),
    encoded("JPEG", progressive=True, mode="RGB"),
    encoded("PNG"),
    encoded("PNG", mode="P"),
    encoded("BMP"),
    encoded("BMP", mode="RGB"),
    encoded("TIFF"),
    encoded("TIFF", compression="tiff_lzw", mode="RGB"),
    encoded("TIFF", compression="tiff_adobe_deflate", mode="I;16"),
    encoded("WEBP", lossless=True, mode="RGB"),
    encoded("WEBP", mode="RGB"),
    encoded("PPM"),
]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        content[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(content[: draw(st.sampled_from([len(content), place]))])


@fuzz
@given(st.sampled_from(PICTURES).flatmap(damaged))
def test_damaged_pictures(tmp_path: Path, content: bytes) -> None:
    """A frame of bytes, or a fault that says why; the same for the size alone."""
    path = tmp_path / "frame.img"
    path.write_bytes(content)
    with contextlib.suppress(ImageFault):
        read_size(path)
    try:
        pixels = decode_mono(content)
    except ImageFault:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2


@fuzz
@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b""]), st.binary(max_size=400))
def test_noise_behind_a_picture_s_first_bytes(head: bytes, noise: bytes) -> None:
    """What only begins like a picture is a fault."""
    with contextlib.suppress(ImageFault):
        decode_mono(head + noise)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "recording"
    with RecordingWriter(path, "top", mm_per_px=0.5) as writer:
        for number, pixels in enumerate(make_frames(6, 24, 40)):
            fault = Uninspected(Code.NO_FRAME, "lost") if number == 2 else None
            writer.append(Capture(None if fault else pixels, fault, captured_ns=number, position_mm=12.0 * number))
    return path


@fuzz
@given(name=st.sampled_from(["recording.json", "frames.jsonl", "frames.mkv"]), data=st.data())
def test_damaged_recordings(recording: Path, tmp_path: Path, name: str, data: st.DataObject) -> None:
    """It is refused in one line, or gives frames and faults and ends; nothing of it is written to."""
    path = tmp_path / "recording"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(recording, path)
    content = data.draw(damaged((path / name).read_bytes()))
    (path / name).write_bytes(content)
    with contextlib.suppress(InspectorError), RecordingSource(path) as source:
        for capture in islice(source.captures(), MOST_CAPTURES):
            assert capture is None or (capture.pixels is None) != (capture.fault is None)
    assert (path / name).read_bytes() == content


@pytest.mark.parametrize(
    "index", [b"[" * 60_000, b'{"x":' * 10_000, b" " * 70_000 + b"{}", {"frames": 10**15}, {"frames": -1}]
)
def test_indexes_that_promise_too_much(recording: Path, tmp_path: Path, index: bytes | dict[str, int]) -> None:
    """Refused in one line: a recording of ten million years is damaged."""
    path = tmp_path / "recording"
    shutil.copytree(recording, path)
    file = path / "recording.json"
    file.write_bytes(
        index if isinstance(index, bytes) else json.dumps(json.loads(file.read_bytes()) | index).encode()
    )
    with pytest.raises(InspectorError), RecordingSource(path):
        pass


@pytest.mark.parametrize("line", [b"[" * 60_000 + b"\n", b"x" * 200_000, b'{"frame_id":' * 9_000 + b"\n"])
def test_sidecars_without_end(recording: Path, tmp_path: Path, line: bytes) -> None:
    """After an invalid line, every frame is a fault."""
    path = tmp_path / "recording"
    shutil.copytree(recording, path)
    sidecar = path / "frames.jsonl"
    sidecar.write_bytes(b"".join(sidecar.read_bytes().splitlines(keepends=True)[:3]) + line)
    with RecordingSource(path) as source:
        captures = [capture for capture in source.captures() if capture is not None]
    assert [capture.pixels is None for capture in captures[:6]] == [False, False, True, True, True, True]
    assert all(capture.fault for capture in captures[6:])


VERDICT = b'{"camera":"top","frame_id":%d,"captured_ns":1}\n'


@fuzz
@given(damaged(b"".join(VERDICT % frame for frame in range(6))))
def test_damaged_verdict_logs(tmp_path: Path, content: bytes) -> None:
    """A log that a power cut has damaged stops no start: what can be read of it counts."""
    (tmp_path / "verdicts.jsonl").write_bytes(content)
    VerdictLog(tmp_path).close()
    places, _ = last_places(tmp_path, ["top"])
    assert all(isinstance(next_frame, int) for next_frame in places.get("top", {}).values())
