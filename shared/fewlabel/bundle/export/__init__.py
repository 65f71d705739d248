"""Networks as TorchScript or ONNX, compared with the original on a scan."""
