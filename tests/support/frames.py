"""Small steel-like frames for tests: numpy only, seeded, cheap."""

import numpy as np

from inspector.values import Pixels


def make_frame(seed: int = 0, height: int = 64, width: int = 160) -> Pixels:
    """One mono frame, uint8 [height, width]: lighting falls off across, streaks run along, the grain is fine.

    Different seeds give different frames; a dark scratch lies in every third.
    """
    random = np.random.default_rng(seed)
    across = np.linspace(-1.0, 1.0, width)
    lighting = 150.0 - 60.0 * across**2
    streaks = np.repeat(random.normal(0.0, 6.0, (1, width)), height, axis=0)
    grain = random.normal(0.0, 4.0, (height, width))
    steel = lighting + streaks + grain + 15.0 * np.sin(0.7 * seed)
    if seed % 3 == 0:
        column = int(random.integers(width // 8, width - width // 8))
        steel[height // 4 : 3 * height // 4, column : column + max(2, width // 100)] -= 70.0
    frame: Pixels = np.clip(steel, 0, 255).astype(np.uint8)
    return frame


def make_frames(count: int, height: int = 64, width: int = 160) -> list[Pixels]:
    """`count` frames of one size, seeds 0, 1, 2, …"""
    return [make_frame(seed, height, width) for seed in range(count)]
