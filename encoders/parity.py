"""How near an exported model's vectors are to the original's, and what that costs in finding pictures again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from encoders.pixels import Pixels
from encoders.runtime import EncoderError, Vectors, onnxruntime_errors, open_session
from schemas.bundles import Parity, TextParity, Variant

LEAST_COSINE: dict[Variant, float] = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.999}
"""What the worst picture must reach for a variant to share the space of the original."""

_AT_ONCE = 32


class ParityError(RuntimeError):
    """The exported model's vectors are too far from the original's."""


def proven(parity: Parity, variant: Variant) -> bool:
    """Whether the variant's vectors may stand beside those of the original."""
    return parity.min_cosine >= LEAST_COSINE[variant]


def torch_vectors(tower: torch.nn.Module, inputs: npt.NDArray[np.uint8] | npt.NDArray[np.int64]) -> Vectors:
    """float32 (n, dimension) from the tower itself."""
    with torch.inference_mode():
        parts = [tower(torch.from_numpy(part)).cpu().numpy() for part in _parts(inputs)]
    return np.concatenate(parts).astype(np.float32)


def onnx_vectors(model: bytes, inputs: npt.NDArray[np.uint8] | npt.NDArray[np.int64], *, half: bool = False) -> Vectors:
    """float32 (n, dimension) from ONNX Runtime on the CPU; `half` for a model of fp16.

    Raises:
        ParityError: it can't run the model.
    """
    refusals: tuple[type[Exception], ...] = (EncoderError, *onnxruntime_errors())
    try:
        session = open_session(model, "cpu", torch.get_num_threads(), half=half)
        name = session.get_inputs()[0].name
        return np.concatenate([session.run(None, {name: part})[0] for part in _parts(inputs)])
    except refusals as error:
        raise ParityError(f"ONNX Runtime can't run what was exported: {error}") from error


def cosines(found: Vectors, wanted: Vectors) -> npt.NDArray[np.float64]:
    """Row by row (n,); NaN where a vector is none counts as -1."""
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(all="ignore"):
        each: npt.NDArray[np.float64] = np.clip(np.sum(a * b, axis=1) / norms, -1, 1)
    return np.nan_to_num(each, nan=-1)


def image_parity(found: Vectors, wanted: Vectors) -> Parity:
    """The cosines of both vectors (n, dimension) of each of n pictures."""
    each = cosines(found, wanted)
    return Parity(images=len(each), mean_cosine=float(each.mean()), min_cosine=float(each.min()))


def text_parity(found: Vectors, wanted: Vectors) -> TextParity:
    """The cosines of both vectors (n, dimension) of each of n texts."""
    each = cosines(found, wanted)
    return TextParity(texts=len(each), mean_cosine=float(each.mean()), min_cosine=float(each.min()))


def recall_at_1(views: Vectors, originals: Vectors) -> float:
    """The share of the views (n, dimension) whose nearest original is their own."""
    return float(np.mean((views @ originals.T).argmax(axis=1) == np.arange(len(views))))


def seen_again(pixels: Pixels) -> Pixels:
    """Each picture as another photo of the same might show it: three quarters of it, off the middle, and darker."""
    size = pixels.shape[1]
    box = (size * 0.2, size * 0.1, size * 0.95, size * 0.85)
    views = [Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC, box) for picture in pixels]
    return (np.stack([np.asarray(view) for view in views]) * 0.7).astype(np.uint8)


def _parts(
    inputs: npt.NDArray[np.uint8] | npt.NDArray[np.int64],
) -> Iterable[npt.NDArray[np.uint8] | npt.NDArray[np.int64]]:
    return (inputs[start : start + _AT_ONCE] for start in range(0, len(inputs), _AT_ONCE))
