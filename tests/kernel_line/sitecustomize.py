"""In front of PYTHONPATH: engines with backend "kernel" run the kernel of `cuda_networks`, in a whole line."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from inspector.backends import BACKENDS

BACKENDS["kernel"] = "tests.support.kernel_engine:open_kernel"
