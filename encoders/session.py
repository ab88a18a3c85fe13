"""The image tower at work: an ONNX Runtime session on the device that was asked for, and on no other."""

from __future__ import annotations

import ctypes
import math
import os
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from encoders.bundle import Bundle
from encoders.pixels import Pixels
from schemas.bundles import Resize, Variant

Device = Literal["cpu", "cuda"]
Vectors = npt.NDArray[np.float32]

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Batches are split at the largest. On cuda each is padded to the next bucket, since every new shape costs a search for
kernels and memory that is never given back; on the CPU a new shape costs nothing, and padding as much as a picture."""

_CPU_WARM_UP = 0.4
_NORM_TOLERANCE = 1e-3


class EncoderError(RuntimeError):
    """The encoder can't start as asked, or its model is not what the manifest says."""


class ImageEncoder:
    """Pictures to vectors, in the space of one bundle. Safe to call from many threads.

    Args:
        bundle: a verified bundle.
        device: where to run; `cuda` never falls back to the CPU.
        variant: by default fp16 on cuda where the bundle has it, and fp32 (or what there is) otherwise.
        threads: of the CPU, by default as many as this process may use.

    Raises:
        EncoderError: the device can't be had, or warming up gave vectors that are not those of the manifest.
        BundleError: the bundle has no such variant.
    """

    def __init__(
        self, bundle: Bundle, *, device: Device = "cpu", variant: Variant | None = None, threads: int | None = None
    ) -> None:
        self.bundle = bundle
        self.device = device
        self.variant = variant or _default_variant(bundle, device)
        self._session = _session(bundle.image_path(self.variant), device, threads or available_cores())
        self._input = self._session.get_inputs()[0].name
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
        vectors = [self._run(pixels[start : start + most]) for start in range(0, len(pixels), most)]
        return np.concatenate(vectors) if vectors else np.empty((0, self.dimension), np.float32)

    def _run(self, pixels: Pixels) -> Vectors:
        count = len(pixels)
        missing = next(bucket for bucket in BUCKETS if bucket >= count) - count
        if missing and self.device == "cuda":
            pixels = np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0)))
        vectors: Vectors = self._session.run(None, {self._input: pixels})[0]
        return vectors[:count]

    def _warm_up(self) -> None:
        """Run every bucket once and check it; on the CPU, where only the first run is slow, for a moment at most."""
        noise = np.random.default_rng(0).integers(0, 256, (BUCKETS[-1], self.size, self.size, 3), np.uint8)
        started = time.monotonic()
        for bucket in BUCKETS:
            try:
                self._check(self._run(noise[:bucket]), bucket)
            except _onnxruntime_errors() as error:
                raise EncoderError(f"{self.bundle.image_path(self.variant)}: {error}") from error
            if self.device == "cpu" and time.monotonic() - started > _CPU_WARM_UP / 2:
                break

    def _check(self, vectors: Vectors, count: int) -> None:
        where, wanted = self.bundle.image_path(self.variant), (count, self.dimension)
        if vectors.dtype != np.float32 or vectors.shape != wanted:
            raise EncoderError(f"{where}: dimension: expected float32 {wanted}, got {vectors.dtype} {vectors.shape}")
        norms = np.linalg.norm(vectors, axis=1)
        if not np.all(np.abs(norms - 1) < _NORM_TOLERANCE):  # NaN is refused too
            raise EncoderError(f"{where}: expected vectors of norm 1, got {norms.min():.4f} to {norms.max():.4f}")


def available_cores() -> int:
    """The cores that this process may really use: its affinity, and its container's quota rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """The container's CPU quota in cores, or infinity: cgroup v2 has one file for it, v1 has two."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((root / name).read_text() for name in files).split()
            return int(quota) / int(period) if int(quota) > 0 else math.inf
        except (OSError, ValueError):  # no such cgroup version here, or "max"
            continue
    return math.inf


def _default_variant(bundle: Bundle, device: Device) -> Variant:
    preferred: tuple[Variant, ...] = ("fp16", "fp32", "int8") if device == "cuda" else ("fp32", "int8", "fp16")
    return next(variant for variant in preferred if variant in bundle.manifest.image)


def _session(path: Path, device: Device, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised, with its reason
    # A spinning thread would take the core that the next pictures are decoded on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device == "cuda":
        onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(path, options, providers=_providers(device))
    except _onnxruntime_errors() as error:
        raise EncoderError(f"{path}: {error}") from error
    if device == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise EncoderError(f"cuda was asked for, but ONNX Runtime fell back to the CPU: {_why_no_cuda()}")
    return session


def _providers(device: Device) -> list[Any]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    cuda = {
        "arena_extend_strategy": "kSameAsRequested",  # the default doubles, and never gives back
        "cudnn_conv_algo_search": "HEURISTIC",  # the default tries them all, for each new shape
    }
    return [("CUDAExecutionProvider", cuda), "CPUExecutionProvider"]


def _why_no_cuda() -> str:
    """ONNX Runtime only logs its reason; loading its provider the way it does gives it again."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "this onnxruntime was built without CUDA: install onnxruntime-gpu instead of onnxruntime"
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / "libonnxruntime_providers_cuda.so"))
    except OSError as error:
        return f"{error} (CUDA 13 and cuDNN 9 are needed)"
    return "its CUDA provider loads, but there is no usable GPU or driver (see nvidia-smi)"


def _onnxruntime_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions share no base of their own."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    names = (
        "EPFail",
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)
