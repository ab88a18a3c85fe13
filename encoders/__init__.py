"""Image in, vectors out: bundles, pixels, ONNX sessions, training."""
