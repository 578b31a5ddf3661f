"""Export: a checkpoint becomes ONNX with the engine contract."""
