"""Nothing leaves an inspection PC: OpenVINO and ONNX Runtime are kept from reporting before they are imported.

OpenVINO (and NNCF) post to an analytics server through the package openvino_telemetry, and keep an id in
~/intel; without that package they report nothing. ONNX Runtime posts, too, and keeps a device id and queued events
in ~/.cache.
"""

import os
import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # how Python says that it cannot be imported
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
