"""A bundle that is made in no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from encoders.bundle import Bundle, write_bundle


def tiny_bundle(
    folder: Path, *, dimension: int = 3, scale: float = 1.0, size: int = 8, content: bytes | None = None
) -> Bundle:
    """A bundle whose model gives each picture's mean colour, of norm `scale`."""
    names = ("pixels", "floats", "mean", "scale", "unit", "vectors")
    pixels, floats, mean, factor, unit, vectors = names
    nodes = [
        helper.make_node("Cast", [pixels], [floats], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", [floats, "axes"], [mean], keepdims=0),
        helper.make_node("LpNormalization", [mean], [unit], axis=1, p=2),
        helper.make_node("Mul", [unit, factor], [vectors]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(pixels, TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info(vectors, TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(np.array(scale, np.float32), factor),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return write_bundle(
        folder,
        name="tiny",
        revision="1",
        dimension=dimension,
        input_size=8,
        resize="squash",
        image={"fp32": model.SerializeToString() if content is None else content},
    )
