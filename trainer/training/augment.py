"""Random relighting of a batch of tensors: brightness, contrast, gamma, noise.

Kornia's four transforms do the same in twice the time: 16 crops of 256×512 took 40 ms of one core, these lines 20
ms.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

BRIGHTNESS: Final = 30.0
"""Largest shift, grey levels: coils differ by about as much."""
CONTRAST: Final = 0.25
"""Largest relative change around the crop's mean."""
LOG_GAMMA: Final = 0.3
"""Largest |ln γ|: γ from 0.74 to 1.35."""
NOISE: Final = 4.0
"""Largest standard deviation, grey levels; half of the crops get no noise."""

_LIMITS: Final = np.array([BRIGHTNESS, CONTRAST, LOG_GAMMA, NOISE])


def relight(frames: Tensor, seed: int, step: int, first_slot: int) -> Tensor:
    """Grey levels uint8 [N, h, w] → float32 [N, 1, h, w] in 0..255.

    The crops occupy the slots from `first_slot` on in the step's batch. The random numbers of a slot depend only
    on seed, step and slot, so a resume, smaller batches or more processes do not change them.
    """
    device = frames.device
    slots = range(first_slot, first_slot + len(frames))
    rngs = [np.random.default_rng((seed, step, slot)) for slot in slots]
    draws = np.stack([rng.uniform(-_LIMITS, _LIMITS) for rng in rngs]).astype(np.float32)
    brightness, contrast, log_gamma, _ = torch.from_numpy(draws).to(device).view(-1, 4, 1, 1, 1).unbind(dim=1)
    grey: Tensor = frames.to(torch.float32).unsqueeze(1)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    grey = (grey - mean) * (1.0 + contrast) + mean + brightness
    grey = (grey / 255.0).clamp_(1e-3, 1.0).pow_(log_gamma.exp()).mul_(255.0)
    generator = torch.Generator(device=device)
    for slot, (rng, strength) in enumerate(zip(rngs, draws[:, 3], strict=True)):
        if strength > 0.0:
            generator.manual_seed(int(rng.integers(1 << 62)))
            noise = torch.randn(grey.shape[1:], generator=generator, device=device)
            grey[slot].add_(noise, alpha=float(strength))
    return grey.clamp_(0.0, 255.0)
