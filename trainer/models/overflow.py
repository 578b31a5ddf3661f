"""Constants of the overflow guard: a frame that makes a network overflow gets score 255 instead of an accept.

A value beyond the range of its type becomes infinite, and inf − inf, 0 · inf and inf / inf become NaN. What a NaN
becomes as uint8 is undefined (0 on many PCs: sound steel), and libraries lose it on the way: OpenVINO's ReLU and
the max-pooling of most libraries turn NaN into an ordinary number. So each graph (torch, ONNX, OpenVINO) checks
its logits, and its last step is a comparison that NaN fails.
"""

from typing import Final

FINITE: Final = 1e30
"""A mean of logits from this value on means an overflow; fp32 and bf16 can hold it."""

UNSOUND: Final = -64.0
"""Replaces the probabilities of a pixel whose logits are not finite. A mean over 8 views that contains it is below
0, so the score, 255·(1 − p(normal)), is above 255 and is limited to 255. Exact in bf16."""

OVERFLOWN: Final = 1e38
"""Replaces the logits of a frame whose activations are not finite: above FINITE, but not NaN."""
