"""Training on Lightning: losses, augmentation, schedule, checkpoints."""
