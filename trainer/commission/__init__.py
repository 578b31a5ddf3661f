"""A first engine for a plant without labels: its own frames, with drawn defects on them."""
