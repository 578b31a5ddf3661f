"""What a torch engine's folder holds; known without torch."""

from typing import Final

PROGRAM_NAME: Final = "model.pt2"
"""An exported program (torch.export): graph and weights, no Python code."""

DEVICE: Final = "device"
"""Option of the manifest: "cuda" or "cpu"."""
