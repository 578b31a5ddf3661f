"""Stand-in for NVIDIA's cuda-python; see the README of this folder's parent."""
