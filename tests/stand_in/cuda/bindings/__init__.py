"""Stand-in for NVIDIA's cuda-bindings."""
