"""Chooses unset settings from the data: network, crop, loss, class weights, crops around defects, length.

With settings for large defects, a network learns nothing from small, rare ones. On the magnetic-tile set the usual
settings end at "all normal" after ten minutes, while crops of 128 px, ce+lovasz and weights of area^−0.25 reached
mIoU 33.4. The limits below lead small, rare defects to those settings and leave NEU-Seg with the usual ones. They
are judgement, not the result of a search.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inspector.numbers import thousands
from inspector.render.numbers import frames
from trainer.models import DEFAULT_PRESET, PRESET_SETTINGS, PRESETS
from trainer.training.pretrained import GET_IT, has_weights
from trainer.training.processes import processes_here
from trainer.training.settings import TrainSettings
from trainer.training.training_data import TrainingData

MAX_CROP: Final = (256, 512)
"""Usual crop for larger frames, px: enough surroundings to distinguish a defect from a marking."""
USUAL_LOSS: Final = "ce+dice"
USUAL_BALANCED: Final = 0.5
USUAL_EPOCHS: Final = 40
"""Epochs of a run, as in the founding paper."""

MIN_DEFECT_SHARE: Final = 0.02
"""Share of a crop's pixels that the usual defect of the smallest class should cover, and share of all pixels below
which defects are rare."""
MIN_CROP_PX: Final = 128
"""Crops are not cut below this side: a network needs the surroundings of a defect."""
RARE_CLASS_SHARE: Final = 0.002
"""Share of all pixels below which a class gets a larger weight."""
TINY_CLASS_SHARE: Final = 0.0002
"""Share of all pixels below which Dice hardly sees a class: a batch has few of its pixels, or none."""
RARE_LOSS: Final = "ce+lovasz"
RARE_WEIGHTING: Final = 0.25
RARE_BALANCED: Final = 0.75
RARE_FRAMES_SHARE: Final = 0.3
"""Share of defective frames below which more crops are drawn around defects."""
FEW_DEFECTIVE: Final = 1000
"""Defective frames below which a pretrained encoder is worth its time: on the magnetic-tile set it
reached a validation mIoU of 47 in 1 700 steps of 8 crops, and `fast` 23 in 1 300 steps of 16."""
LEAST_SIDE_PX: Final = 64
"""Frames below this side are too small for the pretrained encoder, whose deepest cells are 32 px."""
LEAST_STEPS: Final = 1500
"""Steps below which a network from random weights has seen too little: small data sets run for more epochs."""
MOST_EPOCHS: Final = 400


@dataclass(frozen=True, slots=True)
class Traits:
    """What the training frames show."""

    size: tuple[int, int]
    frames: int
    defective: int
    shares: NDArray[np.float64]
    """Share of all pixels by class, normal first."""
    median_px: NDArray[np.float64]
    """Median area by class over the frames that show it; NaN for a class that none shows."""

    @property
    def smallest_px(self) -> float | None:
        """Median area of the smallest class; None if no class is shown."""
        smallest = _smallest(self)
        return None if smallest is None else float(self.median_px[smallest])


def traits_of(data: TrainingData, kinds: int) -> Traits:
    """Measure the training part, in a network's `kinds` classes; mirrored edges do not count."""
    areas = np.stack(
        [
            np.bincount(np.minimum(data.loaded.unmirrored(index), kinds - 1).ravel(), minlength=kinds)
            for index in data.train
        ]
    )
    medians = [float(np.median(shown)) if len(shown := one[one > 0]) else float("nan") for one in areas.T]
    return Traits(
        data.loaded.size,
        len(areas),
        int(areas[:, 1:].any(axis=1).sum()),
        areas.sum(axis=0) / areas.sum(),
        np.array(medians),
    )


def follow_data(settings: TrainSettings, data: TrainingData, traits: Traits) -> tuple[TrainSettings, list[str]]:
    """The settings with every open one chosen, and one line for each choice with its reason."""
    names = settings.classes_of(data.classes)
    chosen: dict[str, Any] = {}
    reasons = [_about(traits, names, data)]
    if settings.model is None:
        preset, why = _preset(traits, settings)
        chosen["model"] = dict(PRESETS[preset])
        usual = {name: field.default for name, field in TrainSettings.model_fields.items()}
        own = {name: value for name, value in PRESET_SETTINGS.get(preset, {}).items() if name != "loss"}
        chosen |= {name: value for name, value in own.items() if getattr(settings, name) == usual[name]}
        settings = settings.model_copy(update=chosen)
        reasons.append(f"--preset {preset}: {why}")
    if settings.crop is None:
        chosen["crop"], why = _crop(traits, names)
        reasons.append(f"--crop {chosen['crop'][0]} {chosen['crop'][1]}: {why}")
    if settings.loss is None:
        chosen["loss"], why = _loss(traits, names)
        reasons.append(f"--loss {chosen['loss']}: {why}")
    if settings.class_weighting is None:
        chosen["class_weighting"], why = _weighting(traits, names)
        reasons.append(f"--class-weighting {chosen['class_weighting']:g}: {why}")
    if settings.balanced is None:
        chosen["balanced"], why = _balanced(traits)
        reasons.append(f"--balanced {chosen['balanced']:g}: {why}")
    if settings.epochs is None and settings.minutes is None:
        chosen["epochs"], why = _epochs(traits, settings.batch)
        reasons.append(f"--epochs {chosen['epochs']}: {why}")
    return settings.model_copy(update=chosen), reasons


def _about(traits: Traits, names: tuple[str, ...], data: TrainingData) -> str:
    height, width = traits.size
    line = (
        f"{frames(traits.frames)} of {height}×{width} px to train on, {thousands(traits.defective)} of them "
        f"defective; defects cover {_share(1.0 - float(traits.shares[0]))} of the pixels"
    )
    smallest = _smallest(traits)
    if smallest is not None:
        line += f", those of {names[smallest]} are smallest: {thousands(traits.median_px[smallest])} px (median)"
    if data.fit is not None:
        how = "cut into tiles" if data.fit.policy == "tile" else "scaled"
        line += f"; frames of another size are {how} (--fit {data.fit.policy} --frame {height} {width})"
    return line


def _preset(traits: Traits, settings: TrainSettings) -> tuple[str, str]:
    few = traits.defective < FEW_DEFECTIVE
    many = f"{frames(traits.defective)} with defects"
    if not few:
        return DEFAULT_PRESET, f"{many} are enough to learn from random weights"
    if settings.init is not None or settings.target == "binary" or processes_here().count > 1:
        return DEFAULT_PRESET, "the usual network"
    if min(traits.size) < LEAST_SIDE_PX:
        return (
            DEFAULT_PRESET,
            f"{min(traits.size)} px are too few for the 32 px cells of a pretrained encoder",
        )
    if settings.encoder_weights is None and not has_weights():
        return DEFAULT_PRESET, f"{many} are few: --preset pretrained learns more from them: {GET_IT}"
    return "pretrained", f"{many} are few, so the encoder starts from ImageNet weights; --preset fast runs faster"


def _crop(traits: Traits, names: tuple[str, ...]) -> tuple[tuple[int, int], str]:
    height, width = (min(most, side) for most, side in zip(MAX_CROP, traits.size, strict=True))
    smallest = _smallest(traits)
    if smallest is None:
        return (height, width), "the frame, up to 256×512"
    area = float(traits.median_px[smallest])
    before = (height, width)
    while area < MIN_DEFECT_SHARE * height * width and max(height, width) > MIN_CROP_PX:
        if width >= height:
            width = max(width // 2, min(MIN_CROP_PX, traits.size[1]))
        else:
            height = max(height // 2, min(MIN_CROP_PX, traits.size[0]))
    if max(height, width) <= 2 * MIN_CROP_PX and (height, width) != before:
        height = width = min(height, width)  # square crops can be transposed, too
    if (height, width) == before:
        return before, f"the frame, up to {MAX_CROP[0]}×{MAX_CROP[1]}"
    covered = _share(area / (height * width))
    return (height, width), f"the usual defect of {names[smallest]} covers {covered} of such a crop"


def _loss(traits: Traits, names: tuple[str, ...]) -> tuple[str, str]:
    defect = 1.0 - float(traits.shares[0])
    if defect < MIN_DEFECT_SHARE:
        return RARE_LOSS, f"defects are rare, {_share(defect)} of the pixels"
    rarest = _rarest(traits, names)
    if traits.shares[rarest] < TINY_CLASS_SHARE:
        return RARE_LOSS, f"{names[rarest]} is rare, {_share(float(traits.shares[rarest]))} of the pixels"
    return USUAL_LOSS, f"defects cover {_share(defect)} of the pixels"


def _weighting(traits: Traits, names: tuple[str, ...]) -> tuple[float, str]:
    rarest = _rarest(traits, names)
    share = _share(float(traits.shares[rarest]))
    if traits.shares[rarest] < RARE_CLASS_SHARE or 1.0 - traits.shares[0] < MIN_DEFECT_SHARE:
        return RARE_WEIGHTING, f"{names[rarest]} covers only {share} of the pixels"
    return 0.0, f"even the rarest class, {names[rarest]}, covers {share} of the pixels"


def _balanced(traits: Traits) -> tuple[float, str]:
    share = traits.defective / traits.frames
    if share < RARE_FRAMES_SHARE or 1.0 - traits.shares[0] < MIN_DEFECT_SHARE:
        return RARE_BALANCED, f"{share:.0%} of the frames are defective, and on few of their pixels"
    return USUAL_BALANCED, f"{share:.0%} of the frames are defective"


def _epochs(traits: Traits, batch: int) -> tuple[int, str]:
    steps = max(1, traits.frames // batch)
    epochs = min(MOST_EPOCHS, max(USUAL_EPOCHS, -(-LEAST_STEPS // steps)))
    why = f"{thousands(epochs * steps)} steps of {batch} crops; --minutes sets a time instead"
    return epochs, why


def _rarest(traits: Traits, names: tuple[str, ...]) -> int:
    """The class that covers the fewest pixels, of those shown."""
    shown = [kind for kind in range(1, len(names)) if traits.shares[kind] > 0]
    return min(shown, key=lambda kind: float(traits.shares[kind]))


def _smallest(traits: Traits) -> int | None:
    """The class of the smallest median area; None if no class is shown."""
    medians = traits.median_px[1:]
    return None if np.isnan(medians).all() else int(np.nanargmin(medians)) + 1


def _share(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"
