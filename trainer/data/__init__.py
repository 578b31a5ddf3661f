"""Labelled frames: the layouts they come in, the split, and how they reach the network."""
