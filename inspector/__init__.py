"""The strip inspector: frames of steel strip go in, one verdict for each comes out."""

__version__ = "0.1.0"
