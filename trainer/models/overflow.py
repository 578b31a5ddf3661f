"""How a frame that makes a network overflow ends as score 255 instead of an accept: in torch, ONNX and OpenVINO.

A value beyond the range of its type becomes infinite, and inf − inf, 0 · inf and inf / inf become NaN. What a NaN
becomes as uint8 is undefined (0 on many PCs: sound steel), and libraries lose it on the way: OpenVINO's ReLU and
the max-pooling of most turn NaN into an ordinary number. So each graph checks its logits, and its last step is a
comparison that NaN fails.
"""

from typing import Final

FINITE: Final = 1e30
"""A mean of logits from here on is no answer of a network; fp32 and bf16 hold the number."""

UNSOUND: Final = -64.0
"""Put in the place of the probabilities of a pixel whose logits are not finite. A mean over 8 views with one of
them is below 0, so its score, 255·(1 − p(normal)), is above 255, to which it is limited. Exact in bf16."""

OVERFLOWN: Final = 1e38
"""Put in the place of the logits of a frame whose activations are not finite: beyond FINITE, and no NaN itself."""
