"""The simulated strip: reproducible, continuous over frame borders, labelled where it is defective."""

from itertools import islice, pairwise

import cv2
import numpy as np
import pytest

from inspector.sources.simulator import CLASS_NAMES, SimulatedFrame, StripSettings, strip
from inspector.sources.simulator.annotations import COMPONENTS, MIN_AREA_PX, SHAPES
from inspector.sources.simulator.blemishes import BLEMISHES
from inspector.sources.simulator.coil import CoilPlan
from inspector.sources.simulator.defects import DEFECTS
from inspector.sources.simulator.noise import grain
from inspector.sources.simulator.surface import CoilSurface, Textures

SMALL = {"height": 128, "width": 480}


def frames(count: int, **settings: float) -> list[SimulatedFrame]:
    return list(islice(strip(StripSettings(**{"seed": 1, **SMALL, **settings})), count))  # type: ignore[arg-type]


def digest(many: list[SimulatedFrame]) -> list[bytes]:
    return [frame.pixels.tobytes() + frame.label.tobytes() for frame in many]


def test_same_seed_gives_same_bytes() -> None:
    """Equal settings give equal frames, however many are asked for and whatever else is being simulated."""
    one = frames(12, defective_share=0.6, coil_frames=5)
    rolling = strip(StripSettings(seed=1, **SMALL, defective_share=0.6, coil_frames=5))
    other = strip(StripSettings(seed=2, **SMALL, coil_frames=5))
    in_turns = [next(rolling) for _ in range(12) if next(other)]
    assert digest(one) == digest(in_turns)
    assert [frame.coil for frame in one] == [frame.coil for frame in in_turns]


def test_another_seed_gives_another_strip() -> None:
    """No frame repeats under another seed or in the next coil."""
    seen = digest(frames(12, seed=1, coil_frames=6)) + digest(frames(12, seed=2, coil_frames=6))
    assert len(set(seen)) == 24


@pytest.mark.parametrize("size", [(64, 64), (100, 333), (200, 200), (256, 1600)])
def test_any_frame_size(size: tuple[int, int]) -> None:
    """Frames come in the size asked for, mono and contiguous, with labels of the known kinds."""
    height, width = size
    for frame in frames(4, height=height, width=width, defective_share=0.9, coil_frames=3):
        assert frame.pixels.shape == frame.label.shape == size
        assert frame.pixels.dtype == frame.label.dtype == np.uint8
        assert frame.pixels.flags.c_contiguous
        assert frame.label.flags.c_contiguous
        assert frame.label.max() <= len(CLASS_NAMES)


def test_coils_change_after_their_length() -> None:
    """Each coil has `coil_frames` frames and a different name."""
    coils = [frame.coil for frame in frames(9, coil_frames=3)]
    assert coils == [coils[0]] * 3 + [coils[3]] * 3 + [coils[6]] * 3
    assert len(set(coils)) == 3


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_defective_share_is_met(share: float) -> None:
    """The share of frames with a label is what was asked for, as far as chance allows."""
    labelled = [frame.label.any() for frame in frames(300, seed=5, defective_share=share, coil_frames=50)]
    # three deviations; a bad place marks up to three frames, so up to √3 times those of independent frames
    tolerance = 3 * np.sqrt(3 * share * (1 - share) / len(labelled))
    assert abs(np.mean(labelled) - share) < tolerance


def test_kinds_come_as_often_as_in_real_frames() -> None:
    """Of defective frames about 13, 4, 77 and 12 % show the kinds 1 to 4, as in the Kaggle training set."""
    settings = StripSettings(seed=3, defective_share=0.5, coil_frames=2000)
    plan = CoilPlan(settings, CoilSurface(settings, Textures(settings), 0), 0)
    kind_of = {draw: kind for kind, draw in DEFECTS.items()}
    shown: dict[int, set[int]] = {}
    for mark in plan.defects:
        for frame in range(mark.top // settings.height, (mark.bottom - 1) // settings.height + 1):
            shown.setdefault(frame, set()).add(kind_of[mark.draw])
    assert abs(len(shown) / settings.coil_frames - 0.5) < 0.05
    for kind, low, high in ((1, 0.08, 0.22), (2, 0.02, 0.09), (3, 0.65, 0.9), (4, 0.07, 0.22)):
        assert low < np.mean([kind in kinds for kinds in shown.values()]) < high


def test_no_defects_when_none_are_asked_for() -> None:
    """With a share of 0 no pixel is labelled, though harmless marks are there."""
    clean = frames(40, defective_share=0.0, coil_frames=10, blemishes_per_frame=3.0)
    assert not any(frame.label.any() for frame in clean)
    spotless = frames(40, defective_share=0.0, coil_frames=10, blemishes_per_frame=0.0)
    assert any((a.pixels != b.pixels).any() for a, b in zip(clean, spotless, strict=True))


def test_only_labelled_steel_changes() -> None:
    """The strip with defects and the strip without differ nowhere but inside the labels."""
    defective = frames(40, defective_share=0.6, coil_frames=10)
    sound = frames(40, defective_share=0.0, coil_frames=10)
    outside = inside = 0
    for bad, good in zip(defective, sound, strict=True):
        change = np.abs(bad.pixels.astype(int) - good.pixels) > 12
        near = cv2.dilate(bad.label, np.ones((5, 5), np.uint8)) > 0
        outside += int((change & ~near).sum())
        inside += int((change & near).sum())
    assert inside > 1000
    assert outside < 0.005 * inside


def test_every_labelled_part_is_visible() -> None:
    """In each labelled region at least 12 pixels differ from the same steel without it by 15 grey levels."""
    defective = frames(160, seed=9, defective_share=0.6, coil_frames=10)
    sound = frames(160, seed=9, defective_share=0.0, coil_frames=10)
    visible = []
    for bad, good in zip(defective, sound, strict=True):
        change = np.abs(bad.pixels.astype(int) - good.pixels) >= 15
        count, regions = cv2.connectedComponents((bad.label > 0).astype(np.uint8))
        visible += [int(change[regions == region].sum()) >= 12 for region in range(1, count)]
    assert len(visible) > 100
    assert np.mean(visible) > 0.97


def test_defects_go_on_over_a_frame_border() -> None:
    """A label that reaches a frame's last row starts again in the next frame's first, at the same columns."""
    crossing = 0
    for above, below in pairwise(frames(60, seed=4, defective_share=0.7, coil_frames=60)):
        upper, lower = above.label[-1], below.label[0]
        crossing += int(upper.any())
        for kind in np.unique(upper[upper > 0]):
            columns = np.flatnonzero(upper == kind)
            reach = cv2.dilate((lower == kind).astype(np.uint8)[None], np.ones((1, 15), np.uint8))[0]
            assert reach[columns].mean() > 0.8
    assert crossing >= 5


def test_streaks_go_on_over_a_frame_border() -> None:
    """The columns of a frame's last rows are as bright, one to another, as those of the next frame's first."""
    above, below = frames(2, defective_share=0.0, coil_frames=2, height=256, blemishes_per_frame=0.0)
    column_above, column_below = above.pixels[-24:].mean(0), below.pixels[:24].mean(0)
    assert np.corrcoef(column_above, column_below)[0, 1] > 0.9


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_each_kind_fills_its_box_and_is_labelled(kind: int) -> None:
    """A defect drawn for any real box has a label of its kind in the box, of a real label's size."""
    for index, (columns, rows, _) in enumerate(SHAPES[kind]):
        for seed in range(4):
            patch = DEFECTS[kind](np.random.default_rng([seed, index]), rows, columns)
            assert patch.gain.shape == (rows, columns)
            assert set(np.unique(patch.label)) <= {0, kind}
            assert (patch.label > 0).sum() > 0.25 * MIN_AREA_PX[kind]
            changed = (patch.gain < 0.8) | (patch.light > 20)
            assert changed[patch.label > 0].any()


def test_harmless_marks_are_soft_or_bright() -> None:
    """No harmless mark is as dark as a pit or a crack, and none carries a label."""
    for draw, _, size in BLEMISHES:
        for seed in range(6):
            rng = np.random.default_rng(seed)
            rows, columns = map(int, size(rng))
            patch = draw(rng, rows, columns)
            assert not patch.label.any()
            assert (patch.gain * 90 + patch.light).min() > 0.6 * 90


def test_noise_rolls_without_a_seam() -> None:
    """The last row of a texture continues into its first as any row does into the next."""
    field = grain(np.random.default_rng(0), 256, 300, 9.0, 2.0)
    inner = np.abs(np.diff(field, axis=0)).mean()
    assert np.abs(field[0] - field[-1]).mean() < 1.5 * inner
    assert abs(float(field.std()) - 1.0) < 0.01


def test_tables_of_the_annotations_add_up() -> None:
    """Shares in the tables taken from the annotations sum to one."""
    for kind in (1, 2, 3, 4):
        assert sum(COMPONENTS[kind]) == pytest.approx(1.0, abs=0.005)
        assert sum(share for _, _, share in SHAPES[kind]) == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"seed": -1}, "seed"),
        ({"height": 8}, "at least 64 px"),
        ({"defective_share": 1.5}, "defective_share"),
        ({"coil_frames": 0}, "coil_frames"),
        ({"blemishes_per_frame": -1.0}, "blemishes_per_frame"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, float], says: str) -> None:
    """A setting out of range is refused by name where it is made."""
    with pytest.raises(ValueError, match=says):
        StripSettings(**{"seed": 1, **wrong})  # type: ignore[arg-type]
