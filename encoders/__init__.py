"""Image in, vectors out: bundles, pixels, ONNX sessions, training."""

import os

# ONNX Runtime 1.31 reports to its makers from the moment that it is imported, unless it was told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
