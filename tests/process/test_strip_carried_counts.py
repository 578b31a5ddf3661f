"""A line whose GigE Vision camera sends the encoder's count with each frame: places follow from the counts."""

import threading
import time
from pathlib import Path

import numpy as np

from inspector.sources.simulator.mill import Encoder, SpeedProfile
from tests.support.gige_camera import CHUNKS, GigeCamera, needs_aravis
from tests.support.lines import PATIENCE_S, LineUnderTest, interrupt, stage, wait_for_verdicts

ROWS, COLUMNS = 64, 128
MM_PER_PX = 4
RATE = 40
FRAMES = 320
PROFILE = SpeedProfile(((0, 2), (1, 2), (3, 20), (4, 20), (5, 0), (5.5, 0), (6, -3), (7, -3), (8, 5)))
ENCODER = Encoder(mm_per_count=0.5, bits=32)
FIRST_COUNT = 2**32 - 20_000
"""The counter begins at 0 again after 10 m."""


def way_mm(frame: int) -> float:
    return PROFILE.position_mm(frame / RATE)


def send_frames(camera: GigeCamera, ended: threading.Event) -> None:
    """Send frames at the camera's rate, each with its encoder count."""
    picture = np.full((ROWS, COLUMNS), 90, np.uint8)
    began_s = time.monotonic()
    for frame in range(FRAMES):
        time.sleep(max(0.0, began_s + frame / RATE - time.monotonic()))
        count = (FIRST_COUNT + round(way_mm(frame) / ENCODER.mm_per_count)) % 2**32
        camera.send(frame + 1, picture, encoder=count)
    ended.set()


def test_frames_lie_where_their_counts_say_also_without_the_strip_process(tmp_path: Path) -> None:
    """0→20 m/s→0→reverse over a wrap of the counter; the strip process is killed: no frame is 1 mm off."""
    needs_aravis()
    line = LineUnderTest(tmp_path, (ROWS, COLUMNS))
    (tmp_path / "recipe.toml").write_text(
        f'name = "test"\nmm_per_px_across = {MM_PER_PX}\nmm_per_px_along = {MM_PER_PX}\n[classes.bright]\n'
        "[picture]\nchecks = false\n"
    )
    with GigeCamera(height=ROWS, width=COLUMNS) as camera:
        line.write_config(
            'deadline_ms = 20000\n[strip]\n[strip.position]\ntype = "camera"\ncamera = "top"\n'
            f"mm_per_count = {ENCODER.mm_per_count}\n[cameras.top.features]\nChunkModeActive = true\n",
            type="genicam", device=camera.address, frames_per_second=RATE, encoder_chunk="ChunkEncoderValue",
        )  # fmt: skip
        out = tmp_path / "out"
        process = line.start("run", "--config", line.config, "--out", out)
        until_s = time.monotonic() + PATIENCE_S
        while not camera.streams:
            assert time.monotonic() < until_s, "ingest does not start the stream"
            time.sleep(0.02)
        assert camera.register(CHUNKS)
        ended = threading.Event()
        threading.Thread(target=send_frames, args=(camera, ended), daemon=True).start()
        wait_for_verdicts(out, 200)
        stage(process, "strip").kill()
        assert ended.wait(60)
        wait_for_verdicts(out, FRAMES)
        interrupt(process)
        run = line.finish(process, out)
    assert run.code == 0, run.stderr
    seen = [each for each in run.verdicts if each["frame_id"] < FRAMES]
    assert [each["frame_id"] for each in seen] == list(range(FRAMES))
    known = [each for each in seen if each["strip"]["motion"] != "unknown"]
    assert len(known) > FRAMES - 40, "from about the first second on, every frame has its place"
    assert known == seen[-len(known) :]
    first = known[0]
    wrong_mm = [
        each["position_mm"] - first["position_mm"] - (way_mm(each["frame_id"]) - way_mm(first["frame_id"]))
        for each in known
    ]
    assert max(map(abs, wrong_mm)) <= 2 * ENCODER.mm_per_count
    assert {each["strip"]["motion"] for each in known} == {"standing", "threading", "running", "reverse"}
    assert all(each["strip"]["overlap_mm"] > 0 for each in known if each["strip"]["motion"] == "reverse")
