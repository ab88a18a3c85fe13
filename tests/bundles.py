"""A bundle that is made in no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from encoders.bundle import Bundle, TextFiles, write_bundle


def tiny_bundle(
    folder: Path,
    *,
    dimension: int = 3,
    scale: float = 1.0,
    size: int = 8,
    content: bytes | None = None,
    text: TextFiles | None = None,
    name: str = "tiny",
    channels: tuple[int, int, int] = (0, 1, 2),
) -> Bundle:
    """A bundle whose model gives each picture's mean colour, of norm `scale`; with other `channels`, another space."""
    names = ("pixels", "floats", "mean", "scale", "unit", "vectors")
    pixels, floats, mean, factor, unit, vectors = names
    nodes = [
        helper.make_node("Cast", [pixels], [floats], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", [floats, "axes"], [mean], keepdims=0),
        helper.make_node("Gather", [mean, "channels"], ["ordered"], axis=1),
        helper.make_node("LpNormalization", ["ordered"], [unit], axis=1, p=2),
        helper.make_node("Mul", [unit, factor], [vectors]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(pixels, TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info(vectors, TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(np.array(channels, np.int64), "channels"),
            numpy_helper.from_array(np.array(scale, np.float32), factor),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return write_bundle(
        folder,
        name=name,
        revision="1",
        dimension=dimension,
        input_size=8,
        resize="squash",
        image={"fp32": model.SerializeToString() if content is None else content},
        text=text,
    )


def tiny_words(*, scale: float = 1.0) -> TextFiles:
    """A text tower that counts how often "red", "green" and "blue" are said, and their tokenizer."""
    said = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32) + np.float32(1e-6)
    nodes = [
        helper.make_node("Gather", ["said", "tokens"], ["each"], axis=0),
        helper.make_node("ReduceSum", ["each", "axes"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["unit"], axis=1, p=2),
        helper.make_node("Mul", ["unit", "scale"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", 4])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(said, "said"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
            numpy_helper.from_array(np.array(scale, np.float32), "scale"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "red": 2, "green": 3, "blue": 4}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    return TextFiles(model.SerializeToString(), tokenizer.to_str(), context_length=4, pad_id=0)
