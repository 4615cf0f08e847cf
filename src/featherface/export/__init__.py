"""From a trained network to one ONNX file that takes pixels and gives faces."""
