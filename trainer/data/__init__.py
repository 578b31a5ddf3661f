"""Labelled frames: layouts, split, decoding, and training crops."""
