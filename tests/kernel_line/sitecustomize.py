"""In front of PYTHONPATH: engines with backend "kernel" run the kernel of `cuda_networks`, in a whole line."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from inspector.backends import BACKENDS

BACKENDS["kernel"] = "kernel_engine:open_kernel"
