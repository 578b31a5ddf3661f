"""Before any test imports OpenVINO or ONNX Runtime by itself: neither reports to its maker."""

import inspector  # noqa: F401
