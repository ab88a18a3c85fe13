"""ONNX Runtime as Freshline uses it: on the device that was asked for, and on no other."""

from __future__ import annotations

import ctypes
import math
import os
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

Device = Literal["cpu", "cuda"]
Vectors = npt.NDArray[np.float32]

_NORM_TOLERANCE = 1e-3
_NO_MEMORY = re.compile(r"out of memory|failed to allocate|bad.?alloc|alloc_failed|available memory", re.IGNORECASE)


class EncoderError(RuntimeError):
    """The encoder can't start as asked, or its model is not what the manifest says."""


def open_session(
    model: Path | bytes, device: Device, threads: int, *, half: bool = False, gpu_memory: int | None = None
) -> onnxruntime.InferenceSession:
    """Open a model.

    Args:
        model: its file, or what is in it.
        device: where to run it.
        threads: of the CPU.
        half: it is one of fp16.
        gpu_memory: bytes that it takes of the GPU's memory, at most.

    Raises:
        EncoderError: it is no model, or the device can't be had; with the reason.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised, with its reason
    # A spinning thread would take the core that the next pictures are decoded on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # This one takes the process down on some transformers in fp16 (1.31), and does nothing for any of them.
    disabled = ["NchwcTransformer"] if half else None
    if device == "cuda":
        onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(
            model, options, providers=_providers(device, gpu_memory), disabled_optimizers=disabled
        )
    except onnxruntime_errors() as error:
        raise EncoderError(f"{model if isinstance(model, Path) else 'the model'}: {error}") from error
    if device == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise EncoderError(f"cuda was asked for, but ONNX Runtime fell back to the CPU: {_why_no_cuda()}")
    return session


def check_vectors(vectors: Vectors, shape: tuple[int, int], where: Path) -> None:
    """Hold a model's vectors against what its manifest says.

    Raises:
        EncoderError: they are of another type, shape or norm; naming the file `where`.
    """
    if vectors.dtype != np.float32 or vectors.shape != shape:
        raise EncoderError(f"{where}: dimension: expected float32 {shape}, got {vectors.dtype} {vectors.shape}")
    norms = np.linalg.norm(vectors, axis=1)
    if not np.all(np.abs(norms - 1) < _NORM_TOLERANCE):  # NaN is refused too
        raise EncoderError(f"{where}: expected vectors of norm 1, got {norms.min():.4f} to {norms.max():.4f}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether a smaller batch might do."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def shrinking(device: Device) -> onnxruntime.RunOptions:
    """Options for a run after which the memory that ONNX Runtime keeps for later goes back to the device."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "gpu:0" if device == "cuda" else "cpu:0")
    return options


def _providers(device: Device, gpu_memory: int | None) -> list[Any]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    cuda = {
        "arena_extend_strategy": "kSameAsRequested",  # the default doubles, and never gives back
        "cudnn_conv_algo_search": "HEURISTIC",  # the default tries them all, for each new shape
    }
    if gpu_memory is not None:
        cuda["gpu_mem_limit"] = str(gpu_memory)
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


def onnxruntime_errors() -> tuple[type[Exception], ...]:
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
