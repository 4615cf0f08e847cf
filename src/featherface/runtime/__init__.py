"""Finding faces with numpy, Pillow and ONNX Runtime; nothing here knows torch."""
