"""Base class of every network: what training, evaluation and export rely on."""

from torch import Tensor, nn


class Network(nn.Module):
    """Maps grey levels 0..255, float [N, 1, H, W], to logits [N, classes, ⌈H/s⌉, ⌈W/s⌉], s its `map_stride`."""

    map_stride: int
    frame_level: bool = False
    """Whether it classifies the frame as a whole: its logits are then the same everywhere in the map."""
    scores_frames: bool = False
    """Whether it also answers if the frame as a whole shows a defect, see `with_frame`."""

    def with_frame(self, grey: Tensor) -> tuple[Tensor, Tensor | None]:
        """The logits, and the logit of "this frame shows a defect", [N], or None for a network without one."""
        return self(grey), None
