"""Batches to and from a GPU through fixed, page-locked memory, which it reads and writes without a detour."""

from __future__ import annotations

import ctypes
import threading
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime import OrtValue

from encoders.pixels import Pixels
from encoders.runtime import Vectors

_CUDART = "libcudart.so.13"


class Binding:
    """Runs a session's batches, one at a time, through two buffers of its own. Safe to call from many threads.

    Args:
        session: uint8 (n, size, size, 3) to float32 (n, dimension), on any device.
        most: pictures in a batch, at most.
        size: height and width in pixels.
        dimension: floats in a vector.
    """

    def __init__(self, session: onnxruntime.InferenceSession, *, most: int, size: int, dimension: int) -> None:
        self._session = session
        self._input, self._output = session.get_inputs()[0].name, session.get_outputs()[0].name
        self._pixels = np.zeros((most, size, size, 3), np.uint8)
        self._vectors = np.zeros((most, dimension), np.float32)
        self._lock = threading.Lock()
        self.pinned = all([_page_lock(self._pixels), _page_lock(self._vectors)])

    def run(self, pixels: Pixels, bucket: int, options: Any = None) -> Vectors:
        """Encode a batch as one of `bucket` pictures; what fills it up is left over from before and cut off again."""
        count = len(pixels)
        with self._lock:
            self._pixels[:count] = pixels
            binding = self._session.io_binding()  # it copies when bound, so each batch binds anew
            binding.bind_ortvalue_input(self._input, OrtValue.ortvalue_from_numpy(self._pixels[:bucket]))
            binding.bind_ortvalue_output(self._output, OrtValue.ortvalue_from_numpy(self._vectors[:bucket]))
            binding.synchronize_inputs()
            self._session.run_with_iobinding(binding, options)
            binding.synchronize_outputs()
            return self._vectors[:count].copy()


def _page_lock(memory: npt.NDArray[Any]) -> bool:
    """Keep an array's memory where the GPU can reach it, as long as the array lives. False where there is no CUDA."""
    try:
        cuda = ctypes.CDLL(_CUDART)
    except OSError:
        return False
    address = ctypes.c_void_p(memory.ctypes.data)
    if cuda.cudaHostRegister(address, ctypes.c_size_t(memory.nbytes), ctypes.c_uint(0)) != 0:
        return False
    weakref.finalize(memory, cuda.cudaHostUnregister, address)
    return True
