"""The founding paper's comparison run again: vanilla CNN, binary and multi-class U-Net under one protocol."""
