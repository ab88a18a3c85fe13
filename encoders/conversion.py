"""A PyTorch tower as ONNX, and that again in half precision or in eight bits."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from encoders.pixels import Pixels
from encoders.towers import ImageTower, TextTower

CALIBRATION = 128
"""Pictures that the ranges of int8 are taken from, at most."""

_HEAVY = ("Conv", "Gemm", "MatMul")


class ConversionError(RuntimeError):
    """A tower that can't be brought into the form that was asked for."""


def image_onnx(tower: ImageTower) -> bytes:
    """An image tower as ONNX: `pixels` uint8 (n, size, size, 3) to `vectors` float32 (n, dimension).

    Raises:
        ConversionError: as do those below.
    """
    return _onnx(tower, torch.zeros((2, tower.size, tower.size, 3), dtype=torch.uint8), "pixels")


def text_onnx(tower: TextTower) -> bytes:
    """A text tower as ONNX: `tokens` int64 (n, context_length) to `vectors` float32 (n, dimension)."""
    return _onnx(tower, torch.full((2, tower.context_length), tower.pad_id, dtype=torch.int64), "tokens")


def _onnx(tower: torch.nn.Module, example: torch.Tensor, name: str) -> bytes:
    with _converting("PyTorch can't export it to ONNX"):
        program = torch.onnx.export(
            tower.eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=[name],
            output_names=["vectors"],
            verbose=False,
        )
        assert program is not None
        buffer = io.BytesIO()
        onnx.save_model(program.model_proto, buffer)
    return buffer.getvalue()


def half(model: bytes) -> bytes:
    """The model in fp16, with its inputs, outputs and the normalisation at both ends as they were.

    A sum of squares is soon more than fp16 can hold, hence the ends.
    """
    graph = onnx.load_from_string(model)
    ends = _ends(graph, last=False)
    with _converting("fp16"):
        converted = convert_float_to_float16(
            graph, keep_io_types=True, node_block_list=ends, op_block_list=DEFAULT_OP_BLOCK_LIST
        )
        _drop_detours(converted.graph)
        tidy = OnnxModel(converted)
        tidy.prune_graph()
        tidy.topological_sort()
    return bytes(converted.SerializeToString())


def _drop_detours(graph: onnx.GraphProto) -> None:
    """Join what the converter leaves between two nodes that stay as they were: there to fp16 and back, and twice."""
    narrowed = {node.output[0]: node.input[0] for node in graph.node if node.name.endswith("_cast_to_fp16_node")}
    back = {node.output[0]: node for node in graph.node if node.name.endswith("_cast_to_fp32_node")}
    direct = {name: narrowed[node.input[0]] for name, node in back.items() if node.input[0] in narrowed}
    kept = [node for node in graph.node if node.output[0] not in back]
    for node in kept:
        joins = narrowed if node.name.startswith("graph_output_cast") else direct
        node.input[:] = [joins.get(name, name) for name in node.input]
    kept += [node for name, node in back.items() if name not in direct]
    del graph.node[:], graph.value_info[:]  # these are hints only, and some are wrong now
    graph.node.extend(kept)


def eight_bits(model: bytes, pixels: Pixels) -> bytes:
    """The model in int8, with ranges taken from pictures uint8 (n, size, size, 3); its ends stay as they were."""
    with tempfile.TemporaryDirectory() as folder, _converting("int8"):
        plain, ready, done = (Path(folder) / name for name in ("plain.onnx", "ready.onnx", "done.onnx"))
        plain.write_bytes(model)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            done,
            _Pictures(pixels[:CALIBRATION]),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_ends(onnx.load(ready), last=True),
        )
        return done.read_bytes()


def _ends(model: onnx.ModelProto, *, last: bool) -> list[str]:
    """The names of the nodes before the first layer with weights and after the last one, or from the last one on."""
    nodes = model.graph.node
    for number, node in enumerate(nodes):
        node.name = node.name or f"node_{number}"
    heavy = [number for number, node in enumerate(nodes) if node.op_type in _HEAVY]
    end = heavy[-1] if last else heavy[-1] + 1
    return [node.name for node in [*nodes[: heavy[0]], *nodes[end:]]]


@contextmanager
def _converting(what: str) -> Iterator[None]:
    """Without the libraries' warnings of what is as it should be; whatever fails is a ConversionError."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # each library has its own
        raise ConversionError(f"{what}: {type(error).__name__}: {_reason(error)}") from error
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    """The cause beneath: PyTorch's exporter surrounds it with advice."""
    return str(error.__cause__ or error).strip().partition("\n")[0]


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: Pixels) -> None:
        self._batches: Iterator[Pixels] = iter(np.array_split(pixels, max(1, len(pixels) // 8)))

    def get_next(self) -> dict[str, Pixels] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"pixels": batch}
