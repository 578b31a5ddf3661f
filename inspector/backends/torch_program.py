"""Contents of a torch engine's folder; importable without torch."""

from typing import Final

PROGRAM_NAME: Final = "model.pt2"
"""File name of the exported program (torch.export): graph and weights, no Python code."""

DEVICE: Final = "device"
"""Manifest option for the device: "cuda" or "cpu"."""
