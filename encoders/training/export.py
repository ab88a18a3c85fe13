"""A trained tower becomes ONNX, and is proven to give the same vectors there."""

from __future__ import annotations

import io
import logging

import numpy as np
import onnx
import onnxruntime
import torch

from encoders.pixels import Pixels
from schemas.bundles import Parity

LEAST_COSINE = 0.9999


class ParityError(RuntimeError):
    """The exported model's vectors are too far from the original's."""


def to_onnx(tower: torch.nn.Module, size: int) -> bytes:
    """Export a tower in evaluation mode: `pixels` uint8 (n, size, size, 3) to `vectors` float32 (n, dimension)."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of operators of packages that we don't use
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    program = torch.onnx.export(
        tower,
        (example,),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["pixels"],
        output_names=["vectors"],
        verbose=False,
    )
    assert program is not None
    buffer = io.BytesIO()
    onnx.save_model(program.model_proto, buffer)
    return buffer.getvalue()


def prove(tower: torch.nn.Module, model: bytes, pixels: Pixels) -> Parity:
    """Compare the vectors of torch and of ONNX Runtime for pictures uint8 (n, size, size, 3).

    Raises:
        ParityError: the mean cosine, or that of the worst picture, is below 0.9999.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = session.run(None, {"pixels": pixels})[0]
    with torch.inference_mode():
        wanted = tower(torch.from_numpy(pixels)).numpy()
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    cosines = np.clip(np.sum(found * wanted, axis=1) / norms, -1, 1)
    parity = Parity(images=len(pixels), mean_cosine=float(cosines.mean()), min_cosine=float(cosines.min()))
    if parity.min_cosine < LEAST_COSINE:
        raise ParityError(f"cosine {parity.min_cosine} between torch and ONNX Runtime, under {LEAST_COSINE}")
    return parity
