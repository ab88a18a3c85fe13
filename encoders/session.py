"""The image tower at work: an ONNX Runtime session on the device that was asked for, and on no other."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from encoders.binding import Binding
from encoders.bundle import Bundle
from encoders.pixels import Pixels
from encoders.runtime import (
    Device,
    EncoderError,
    Vectors,
    available_cores,
    check_vectors,
    is_out_of_memory,
    onnxruntime_errors,
    open_session,
    shrinking,
)
from schemas.bundles import Resize, Variant

__all__ = ["BUCKETS", "Device", "EncoderError", "ImageEncoder", "available_cores"]

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Batches are split at the largest. On cuda each is padded to the next bucket, since every new shape costs a search for
kernels and memory that is never given back; on the CPU a new shape costs nothing, and padding as much as a picture."""

_CPU_WARM_UP = 0.4
_log = logging.getLogger(__name__)


class ImageEncoder:
    """Pictures to vectors, in the space of one bundle. Safe to call from many threads.

    Args:
        bundle: a verified bundle.
        device: where to run; `cuda` never falls back to the CPU.
        variant: by default fp16 on cuda where the bundle has it, and fp32 (or what there is) otherwise.
        threads: of the CPU, by default as many as this process may use.
        gpu_memory: bytes that a session may take of the GPU's memory, by default all.

    Raises:
        EncoderError: the device can't be had, or warming up gave vectors that are not those of the manifest.
        BundleError: the bundle has no such variant.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: Device = "cpu",
        variant: Variant | None = None,
        threads: int | None = None,
        gpu_memory: int | None = None,
    ) -> None:
        self.bundle = bundle
        self.device = device
        self.variant = variant or _default_variant(bundle, device)
        path = bundle.image_path(self.variant)
        self._session = open_session(
            path, device, threads or available_cores(), half=self.variant == "fp16", gpu_memory=gpu_memory
        )
        self._input = self._session.get_inputs()[0].name
        self._binding: Binding | None = None
        if device == "cuda":
            self._binding = Binding(self._session, most=BUCKETS[-1], size=self.size, dimension=self.dimension)
        self._warm_up()

    @property
    def dimension(self) -> int:
        """Floats in a vector."""
        return self.bundle.manifest.dimension

    @property
    def size(self) -> int:
        """Height and width of the input in pixels."""
        return self.bundle.manifest.input_size

    @property
    def resize(self) -> Resize:
        """How a picture is brought to `size`."""
        return self.bundle.manifest.resize

    @property
    def space(self) -> str:
        """The vector space: what collections are named after, and what a query must share with them."""
        return self.bundle.manifest.space

    def encode(self, pixels: Pixels) -> Vectors:
        """Encode a batch of any length, bucket by bucket; a row's vector does not depend on its neighbours.

        Where memory is too short for a batch, its halves are encoded one after the other.

        Args:
            pixels: uint8 (n, size, size, 3), RGB.

        Returns:
            float32 (n, dimension), each row of norm 1.

        Raises:
            ValueError: another shape or type of `pixels`.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (self.size, self.size, 3):
            wanted = f"uint8 (n, {self.size}, {self.size}, 3)"
            raise ValueError(f"pixels: expected {wanted}, got {pixels.dtype} {pixels.shape}")
        most = BUCKETS[-1]
        vectors = [self._within_memory(pixels[start : start + most]) for start in range(0, len(pixels), most)]
        return np.concatenate(vectors) if vectors else np.empty((0, self.dimension), np.float32)

    def _within_memory(self, pixels: Pixels, options: Any = None) -> Vectors:
        try:
            return self._run(pixels, options)
        except Exception as error:  # ONNX Runtime has several for it, none its own
            if len(pixels) == 1 or not is_out_of_memory(error):
                raise
            _log.warning("no memory for %d pictures at once, halving: %s", len(pixels), error)
        middle, options = len(pixels) // 2, shrinking(self.device)
        halves = (pixels[:middle], pixels[middle:])
        return np.concatenate([self._within_memory(half, options) for half in halves])

    def _run(self, pixels: Pixels, options: Any) -> Vectors:
        if self._binding is not None:
            bucket = next(bucket for bucket in BUCKETS if bucket >= len(pixels))
            return self._binding.run(pixels, bucket, options)
        vectors: Vectors = self._session.run(None, {self._input: pixels}, options)[0]
        return vectors

    def _warm_up(self) -> None:
        """Run every bucket once and check it; on the CPU, where only the first run is slow, for a moment at most."""
        noise = np.random.default_rng(0).integers(0, 256, (BUCKETS[-1], self.size, self.size, 3), np.uint8)
        path, started = self.bundle.image_path(self.variant), time.monotonic()
        for bucket in BUCKETS:
            try:
                check_vectors(self._within_memory(noise[:bucket]), (bucket, self.dimension), path)
            except onnxruntime_errors() as error:
                raise EncoderError(f"{path}: {error}") from error
            if self.device == "cpu" and time.monotonic() - started > _CPU_WARM_UP / 2:
                break


def _default_variant(bundle: Bundle, device: Device) -> Variant:
    preferred: tuple[Variant, ...] = ("fp16", "fp32", "int8") if device == "cuda" else ("fp32", "int8", "fp16")
    return next(variant for variant in preferred if variant in bundle.manifest.image)
