"""Which version of the library is played."""

import os

__version__ = os.environ.get("STAND_IN_TENSORRT_VERSION", "11.4.0.106")
