"""Statistics of the real annotations: frequency, number, size and position of defects.

Measured on `annotations_without_frames.csv`: 4051 masks of 3600 defective frames (256×1600) of the Kaggle
Severstal training set. A component is an 8-connected part of a mask. Components under `MIN_AREA_PX` are left out:
the smallest 2 to 5 % of each kind, mostly polygon remains at a frame's border.
"""

from typing import Final

KINDS_OF_A_FRAME: Final = {
    (3,): 2237,
    (1,): 461,
    (4,): 326,
    (3, 4): 278,
    (2,): 195,
    (1, 3): 89,
    (1, 2): 31,
    (2, 3): 14,
}
"""Number of defective frames for each combination of kinds. Three more combinations have three frames in all."""

MIN_AREA_PX: Final = {1: 370, 2: 700, 3: 350, 4: 700}
"""Smallest counted component of each kind, px."""

COMPONENTS: Final = {
    1: (0.458, 0.148, 0.062, 0.060, 0.048, 0.048, 0.057, 0.119),
    2: (0.778, 0.198, 0.024),
    3: (0.340, 0.257, 0.162, 0.096, 0.055, 0.037, 0.016, 0.037),
    4: (0.435, 0.304, 0.116, 0.076, 0.031, 0.015, 0.010, 0.013),
}
"""Share of frames with 1, 2, … components of a kind; the last entry includes all larger numbers."""

SHAPES: Final = {
    1: (
        (20, 35, 0.158), (28, 43, 0.150), (31, 68, 0.107), (21, 50, 0.101), (22, 26, 0.101), (31, 30, 0.091),
        (43, 47, 0.083), (53, 83, 0.056), (19, 73, 0.049), (28, 119, 0.045), (25, 221, 0.036),
        (52, 198, 0.023),
    ),
    2: (
        (34, 244, 0.121), (18, 191, 0.104), (22, 250, 0.101), (22, 151, 0.094), (14, 174, 0.094),
        (15, 129, 0.094), (26, 203, 0.091), (21, 96, 0.074), (15, 85, 0.064), (13, 242, 0.058),
        (30, 139, 0.054), (11, 116, 0.051),
    ),
    3: (
        (19, 238, 0.192), (31, 241, 0.166), (62, 221, 0.105), (29, 40, 0.086), (31, 108, 0.086),
        (60, 78, 0.081), (181, 214, 0.062), (15, 91, 0.057), (64, 33, 0.053), (156, 65, 0.051),
        (444, 72, 0.033), (872, 174, 0.028),
    ),
    4: (
        (119, 93, 0.135), (198, 208, 0.113), (170, 119, 0.112), (66, 95, 0.100), (38, 52, 0.090),
        (83, 56, 0.086), (351, 216, 0.076), (323, 115, 0.069), (98, 186, 0.068), (185, 55, 0.067),
        (646, 197, 0.043), (64, 30, 0.041),
    ),
}  # fmt: skip
"""Bounding boxes of components: 12 k-means centres of (log width, log height) per kind, as width across the strip
in px, height along it in px, share of the kind's components."""

SHAPE_SPREAD: Final = {1: (0.15, 0.13), 2: (0.11, 0.10), 3: (0.26, 0.24), 4: (0.20, 0.20)}
"""Standard deviation of (log width, log height) around these centres."""

THROUGH_FROM_PX: Final = 200
THROUGH_SHARE: Final = 0.5
"""Share of the components of kind 3 with a height from THROUGH_FROM_PX that run through the frame from its first
row to its last. They are 23 % of all components of kind 3. How far they continue is not in the data."""

ACROSS: Final = {
    1: (.026, .073, .105, .142, .143, .083, .043, .071, .026, .041, .023, .042, .038, .071, .062, .012),
    2: (.037, .037, .000, .017, .259, .128, .003, .017, .098, .158, .007, .000, .000, .010, .118, .111),
    3: (.037, .054, .062, .048, .073, .059, .078, .069, .073, .070, .078, .090, .072, .062, .048, .027),
    4: (.045, .058, .061, .076, .071, .083, .069, .065, .052, .076, .065, .058, .065, .070, .051, .036),
}  # fmt: skip
"""Share of components whose centre lies in each sixteenth of the frame's width."""
