"""Files that training and export write: checkpoints, model cards, versions."""
