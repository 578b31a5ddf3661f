"""From mistakes to a better engine: collect, correct, export, shadow and acceptance on a running line."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from inspector.backends.instant import write_engine
from tests.support.pages import HEIGHT, WIDTH, PageUnderTest, running, write_frames

EVERY_FRAME = 100_000
"""A quota of random frames that draws each one."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageUnderTest]:
    """A line that runs, its page, and somebody who may review."""
    page = PageUnderTest(tmp_path_factory.mktemp("loop"))
    with page.config.open("a") as config:
        config.write(f"[collect]\nrandom_accepts = {EVERY_FRAME}\nrandom_rejects = {EVERY_FRAME}\n")
    page.add("kim", "quality")
    with running(page):
        yield page


@pytest.fixture(scope="module")
def kim(page: PageUnderTest) -> Iterator[httpx.Client]:
    with page.client("kim") as client:
        yield client


def trainer(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "trainer.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def waiting(page: PageUnderTest, client: httpx.Client, wanted: Any) -> list[dict[str, Any]]:
    """The frames that wait, once there are such."""

    def found() -> list[dict[str, Any]]:
        frames = client.get("/api/review", params={"count": 500}).json()["frames"]
        return [frame for frame in frames if wanted(frame)]

    return page.wait(found, "frames that wait for a review")


def answer(client: httpx.Client, frame: dict[str, Any], **given: Any) -> None:
    done = client.post(f"/api/review/{frame['id']}", json={"why": "", **given})
    assert done.status_code == 201, done.text


def test_reviews_become_a_data_set_without_a_file_by_hand(
    page: PageUnderTest, kim: httpx.Client, tmp_path: Path
) -> None:
    """Escapes from a recording, a reject that is right and one that is not: exported, checked, sent as COCO."""
    frames = write_frames(tmp_path / "frames", 6)
    recorded = page.command("record", str(frames), "--out", str(tmp_path / "coil"))
    assert recorded.returncode == 0, recorded.stderr
    added = page.command("collect", str(tmp_path / "coil"), "--frames", "1,3-4", "--note", "claim 771")
    assert (added.returncode, "3 frames added" in added.stdout) == (0, True), added.stderr
    again = page.command("collect", str(tmp_path / "coil"), "--frames", "1")
    assert "0 frames added to the review queue, 1 were there already" in again.stdout
    some = page.command("collect", str(tmp_path / "coil"), "--frames", "1,500")
    assert (some.returncode, "has no frame 500: the others were added" in some.stderr) == (2, True)
    nothing = page.command("collect", str(tmp_path / "coil"), "--frames", "77")
    assert (nothing.returncode, "has no such frames" in nothing.stderr) == (2, True)
    escapes = waiting(page, kim, lambda frame: any("claim 771" in each for each in frame["reasons"]))
    assert len(escapes) == 3
    runs = [[1, row * WIDTH + 30, 20] for row in range(20, 40)]
    for frame in escapes:
        answer(kim, frame, answer="redraw", mask=runs)
    rejects = waiting(page, kim, lambda frame: frame["source"] == "random" and frame["decision"] == "reject")
    answer(kim, rejects[0], answer="reject")
    sound = waiting(page, kim, lambda frame: frame["decision"] == "reject" and frame["id"] != rejects[0]["id"])
    answer(kim, sound[0], answer="accept", why="scale")

    out = tmp_path / "week-2"
    done = page.command("dataset", "export", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout)
    assert about["answers"] == {"accept": 1, "redraw": 3, "reject": 1}
    assert about["sources"]["escape"] == 3
    checked = trainer("check-data", out)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (mask,) = {path.read_bytes() for path in (out / "masks").iterdir() if path.stem.split("-")[1] == "00000003"}
    drawn = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert (drawn[20:40, 30:50] == 1).all()
    assert drawn.sum() == 400
    to_label = page.command("dataset", "export", "--waiting", "--out", str(tmp_path / "to-label"))
    assert to_label.returncode == 0, to_label.stderr
    coco = trainer("export-coco", tmp_path / "to-label", tmp_path / "cvat")
    assert coco.returncode == 0, coco.stderr
    back = trainer("import", "coco", tmp_path / "cvat", tmp_path / "labelled", "--unlisted", "normal")
    assert back.returncode == 0, back.stderr
    both = trainer("combine", out, tmp_path / "labelled", "--val", "0.2", "--out", tmp_path / "both")
    assert both.returncode == 0, both.stderr
    (entry,) = json.loads((tmp_path / "both" / "corrections.json").read_text())["corrections"]
    assert len(entry["images"]) == 5


def test_marked_frames_of_a_recording_wait_for_a_review(
    page: PageUnderTest, kim: httpx.Client, tmp_path: Path
) -> None:
    """By the capture times of what `inspector mark` has named; without a mark it says so."""
    frames = write_frames(tmp_path / "frames", 4)
    assert page.command("record", str(frames), "--out", str(tmp_path / "coil")).returncode == 0
    nothing = page.command("collect", str(tmp_path / "coil"), "--marked")
    assert (nothing.returncode, "nothing is marked" in nothing.stderr) == (2, True)
    replayed = page.command("replay", str(tmp_path / "coil"), "--records", "--out", str(tmp_path / "replay"))
    assert replayed.returncode == 0, replayed.stderr
    marked = page.command("mark", "top:2", "--run", "replay", "--note", "escape")
    assert marked.returncode == 0, marked.stderr
    added = page.command("collect", str(tmp_path / "coil"), "--marked", "--note", "marked by hand")
    assert (added.returncode, "1 frame added" in added.stdout) == (0, True), added.stderr
    (found,) = waiting(page, kim, lambda frame: any("marked by hand" in each for each in frame["reasons"]))
    assert found["frame_id"] == 2


def test_recordings_and_rejects_become_data_sets(page: PageUnderTest, kim: httpx.Client, tmp_path: Path) -> None:
    """With the masks that an engine draws, or as sound steel; named as --data, they say which command helps."""
    page.wait_for_reject(kim)
    frames = write_frames(tmp_path / "frames", 4)
    assert page.command("record", str(frames), "--out", str(tmp_path / "coil")).returncode == 0
    (rejects,) = page.out.glob("*/rejects")
    crops = page.wait(lambda: list(rejects.glob("*-????????-*.png")), "crops of rejects")
    few = ("--every", str(1 + len(crops) // 10))
    for kind, source, wanted in (("recording", tmp_path / "coil", 4), ("rejects", rejects, 1)):
        refused = trainer("check-data", source)
        assert (refused.returncode, f"trainer import {kind}" in refused.stderr) == (2, True), refused.stderr
        assert "have no labels" in trainer("import", kind, source, tmp_path / "no").stderr
        out = tmp_path / kind
        done = trainer(
            "import", kind, source, out, "--engine", page.folder / "engine", *(few if wanted == 1 else ())
        )
        assert done.returncode == 0, done.stderr
        masks = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((out / "masks").iterdir())]
        assert len(masks) >= wanted
        assert all(mask.any() for mask in masks)
        assert json.loads((out / "classes.json").read_text()) == ["normal", "bright"]
    sound = ("--unlisted", "normal", "--classes", "normal,bright", "--every", "2")
    done = trainer("import", "recording", tmp_path / "coil", tmp_path / "sound", *sound)
    assert (done.returncode, "2 frames, 0 of them" in done.stdout) == (0, True), done.stderr


def test_a_shadow_sees_what_the_line_sees_and_changes_nothing(
    page: PageUnderTest, kim: httpx.Client, tmp_path: Path
) -> None:
    """It says by kind and severity where it differs, and such frames wait for a review with its mask."""
    write_engine(
        tmp_path / "blind", height=HEIGHT, width=WIDTH, max_batch=4, map_stride=1, classes=("normal", "bright"),
        options={"defect_grey": 250},
    )  # fmt: skip
    before = json.loads(kim.get("/api/state").text)["line"]["worker"]["engine"]
    done = page.command("shadow", str(tmp_path / "blind"), "--frames", "15", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["frames"] == 15
    assert figures["line"] == before
    assert figures["only_line_rejects"] > 0
    assert figures["agreed"] + figures["only_line_rejects"] + figures["only_candidate_rejects"] == 15
    assert {each["what"] for each in figures["differences"]} == {"line only"}
    assert figures["kept_for_review"] > 0
    assert json.loads((page.out / "page" / "shadow.json").read_text()) == figures
    kept = waiting(page, kim, lambda frame: any("shadow instant@" in each for each in frame["reasons"]))
    assert kim.get(f"/api/review/{kept[0]['id']}/mask").json()
    state = kim.get("/api/state").json()
    assert state["line"]["worker"]["engine"] == before
    assert state["line"]["cameras"]["top"]["uninspected"] == 0
    wrong = write_engine(tmp_path / "small", height=32, width=64)
    refused = page.command("shadow", str(wrong.path))
    assert (refused.returncode, "takes frames of 32×64" in refused.stderr) == (2, True)


def test_acceptance_is_estimated_from_random_frames_and_signed(
    page: PageUnderTest, kim: httpx.Client, tmp_path: Path
) -> None:
    """Half of the reviewed rejects are sound, no reviewed accept is defective; a changed report is refused."""
    for decision, least in (("accept", 20), ("reject", 10)):
        drawn = page.wait(
            lambda decision=decision, least=least: (
                (
                    found := [
                        frame
                        for frame in waiting(page, kim, lambda frame: frame["source"] == "random")
                        if frame["decision"] == decision
                    ]
                )
                and len(found) >= least
                and found[:least]
            ),
            f"{least} random frames with {decision}",
        )
        for number, frame in enumerate(drawn):
            answer(kim, frame, answer="accept" if decision == "accept" or number % 2 else "reject")
    made = subprocess.run(
        [sys.executable, "-m", "inspector", "keys", "signing", "--out", str(tmp_path / "key")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    public = made.stdout.partition('["')[2].partition('"')[0]
    report = tmp_path / "acceptance.json"
    done = page.command(
        "acceptance",
        "--out",
        str(report),
        "--key",
        str(tmp_path / "key"),
        "--escape",
        "0.99",
        "--overkill",
        "0.00001",
    )
    assert done.returncode == 3, done.stderr
    content = json.loads(report.read_text())
    assert content["verdicts"] == {"escape": "met", "overkill": "exceeded"}
    assert content["accepts"]["defective"] == 0
    assert content["rejects"]["reviewed"] >= 10
    assert 0.0 <= content["escape"]["low"] <= content["escape"]["share"] <= content["escape"]["high"] < 0.99
    verify = ("acceptance", "--verify", str(report), "--trusted", public)
    assert page.command(*verify).returncode == 0
    report.write_text(report.read_text().replace('"exceeded"', '"met"'))
    refused = page.command(*verify)
    assert (refused.returncode, "was changed after it was signed" in refused.stderr) == (2, True)
