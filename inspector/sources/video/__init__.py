"""Video files: every packet becomes a frame or a fault."""
