"""The founding paper's comparison, repeated: vanilla CNN, binary and multi-class U-Net under one protocol."""
