"""The strip inspector: frames of steel strip go in, one verdict for each comes out."""

import inspector.no_telemetry  # noqa: F401 (before any module of this package or the trainer imports a library)

__version__ = "0.1.0"
