"""What training and export leave behind: checkpoints, model cards, versions."""
