"""Networks that can be trained: a table of architectures and a table of presets."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from inspector.errors import InputError

if TYPE_CHECKING:
    from trainer.models.network import Network

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "paper": {"architecture": "unet", "widths": [64, 128, 256, 512, 1024], "stem_stride": 1},
    "balanced": {"architecture": "unet", "widths": [32, 64, 128, 256], "stem_stride": 2},
    "fast": {"architecture": "unet", "widths": [32, 64, 128, 256], "stem_stride": 4},
    "pretrained": {"architecture": "lite-fpn", "decoder": 48, "frozen": 3},
    "cnn": {"architecture": "cnn", "widths": [32, 64, 128, 256]},
}
"""Name → architecture and its parameters. `paper` is Ronneberger et al. 2015, `balanced` and `fast` trade size for
speed, `pretrained` starts from ImageNet weights and scores the frame as a whole, too, and `cnn` only separates
defective frames from normal ones."""

DEFAULT_PRESET: Final = "fast"

PRESET_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "pretrained": {"batch": 8, "lr": 1e-3, "loss": "ce+dice"},
    "cnn": {"target": "binary"},
}
"""Training settings of a preset that nobody states otherwise; a pretrained encoder forgets at a higher rate."""


def _unet(**parameters: Any) -> "Network":
    from trainer.models.unet import UNet

    return UNet(**parameters)


def _lite_fpn(**parameters: Any) -> "Network":
    from trainer.models.lite_fpn import LiteFPN

    return LiteFPN(**parameters)


def _cnn(**parameters: Any) -> "Network":
    from trainer.models.cnn import VanillaCNN

    return VanillaCNN(**parameters)


ARCHITECTURES: Final[dict[str, Callable[..., "Network"]]] = {"unet": _unet, "lite-fpn": _lite_fpn, "cnn": _cnn}
"""Name → factory that takes `classes` and the parameters of a preset; it imports the network when called."""


def build_model(config: dict[str, Any], classes: int) -> "Network":
    """Build the network of a config, {"architecture": name, …parameters}.

    The network maps float [N, 1, H, W] (grey levels 0..255) to logits [N, classes, ⌈H/s⌉, ⌈W/s⌉], where s is its
    `map_stride`. Raises InputError for an unknown architecture or parameters that do not fit it.
    """
    parameters = dict(config)
    name = parameters.pop("architecture", None)
    if name not in ARCHITECTURES:
        raise InputError(f"no architecture {name!r}: there is {', '.join(ARCHITECTURES)}")
    try:
        return ARCHITECTURES[name](classes=classes, **parameters)
    except TypeError as error:
        raise InputError(f"architecture {name} does not take these parameters: {error}") from None
