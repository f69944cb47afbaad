"""What the two engines on sherpa-onnx share: reading a folder of models, and loading one without risk to the server."""
