"""An encoder runs where it was asked to, and gives what its manifest says."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from encoders import runtime
from encoders.binding import Binding
from encoders.bundle import SHIPPED, load_bundle
from encoders.session import BUCKETS, EncoderError, ImageEncoder
from tests.bundles import tiny_bundle


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    return ImageEncoder(load_bundle(SHIPPED))


def _pixels(encoder: ImageEncoder, count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    shape = (count, encoder.size, encoder.size, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_onnx_runtime_reports_to_nobody(tmp_path: Path) -> None:
    # With its telemetry on, it keeps a session file in the temporary folder from its import on.
    code = "import encoders.session"
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env=env | {"TMPDIR": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_it_is(encoder: ImageEncoder) -> None:
    manifest = load_bundle(SHIPPED).manifest

    assert (encoder.dimension, encoder.size) == (manifest.dimension, manifest.input_size)
    assert (encoder.resize, encoder.space) == (manifest.resize, manifest.space)
    assert (encoder.device, encoder.variant) == ("cpu", "fp32")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 64, 65, 130])
def test_any_number_of_pictures_gives_as_many_unit_vectors(encoder: ImageEncoder, count: int) -> None:
    vectors = encoder.encode(_pixels(encoder, count))

    assert vectors.shape == (count, encoder.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_its_neighbours(encoder: ImageEncoder) -> None:
    pixels = _pixels(encoder, 100)
    alone = np.concatenate([encoder.encode(pixels[i : i + 1]) for i in range(100)])

    for count in (*BUCKETS, 3, 45, 100):
        cosines = np.sum(encoder.encode(pixels[:count]) * alone[:count], axis=1)

        assert cosines.min() >= 0.99999


def test_the_same_pictures_give_the_same_bits(encoder: ImageEncoder) -> None:
    pixels = _pixels(encoder, 37)

    assert np.array_equal(encoder.encode(pixels), encoder.encode(pixels))


def test_many_threads_may_encode_at_once(encoder: ImageEncoder) -> None:
    batches = [_pixels(encoder, 1 + i, seed=i) for i in range(12)]
    wanted = [encoder.encode(batch) for batch in batches]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(encoder.encode, batches))

    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(found, wanted, strict=True))


def test_a_view_of_a_larger_array_is_fine(encoder: ImageEncoder) -> None:
    pixels = _pixels(encoder, 8)

    assert np.allclose(encoder.encode(pixels[::2]), encoder.encode(pixels)[::2], atol=1e-5)


@pytest.mark.parametrize("shape", [(112, 112, 3), (1, 112, 112, 4), (1, 3, 112, 112), (1, 100, 100, 3)])
def test_other_shapes_are_refused(encoder: ImageEncoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixels: expected uint8 \(n, 112, 112, 3\)"):
        encoder.encode(np.zeros(shape, np.uint8))


def test_floats_are_refused(encoder: ImageEncoder) -> None:
    with pytest.raises(ValueError, match="got float32"):
        encoder.encode(np.zeros((1, 112, 112, 3), np.float32))


def test_it_starts_within_a_second(encoder: ImageEncoder) -> None:
    bundle, started = load_bundle(SHIPPED), time.monotonic()

    ImageEncoder(bundle)

    assert time.monotonic() - started < 1


def test_cuda_that_cannot_be_had_is_an_error_that_says_why() -> None:
    if _has_gpu():
        pytest.skip("this machine has a GPU")

    with pytest.raises(EncoderError, match=r"cuda was asked for.*(\.so|CUDA|onnxruntime-gpu|GPU)"):
        ImageEncoder(load_bundle(SHIPPED), device="cuda")


def test_an_onnxruntime_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])

    with pytest.raises(EncoderError, match="install onnxruntime-gpu instead"):
        ImageEncoder(load_bundle(SHIPPED), device="cuda")


@pytest.mark.skipif("not _has_gpu()", reason="no GPU on this machine")
def test_cuda_agrees_with_the_cpu(encoder: ImageEncoder) -> None:
    pixels = _pixels(encoder, 70)

    vectors = ImageEncoder(load_bundle(SHIPPED), device="cuda").encode(pixels)

    assert np.sum(vectors * encoder.encode(pixels), axis=1).min() >= 0.9999


class _Short:
    """A session whose memory is enough for some pictures at a time only."""

    def __init__(self, session: Any, most: int) -> None:
        self._session, self._most = session, most
        self.ran: list[int] = []

    def run(self, names: Any, feeds: dict[str, Any], options: Any = None) -> Any:
        (pixels,) = feeds.values()
        if len(pixels) > self._most:
            state = onnxruntime.capi.onnxruntime_pybind11_state
            raise state.RuntimeException("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer")
        self.ran.append(len(pixels))
        return self._session.run(names, feeds, options)


def test_too_little_memory_halves_a_batch_and_goes_on(tmp_path: Path) -> None:
    encoder = ImageEncoder(tiny_bundle(tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), np.uint8)
    wanted = encoder.encode(pixels)
    encoder._session = short = _Short(encoder._session, 10)

    assert np.array_equal(encoder.encode(pixels), wanted)
    assert short.ran == [8] * 8 + [9] * 4


def test_too_little_memory_for_a_single_picture_is_an_error(tmp_path: Path) -> None:
    encoder = ImageEncoder(tiny_bundle(tmp_path))
    encoder._session = _Short(encoder._session, 0)

    with pytest.raises(Exception, match="Failed to allocate memory"):
        encoder.encode(np.zeros((4, 8, 8, 3), np.uint8))


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_process_that_really_runs_out_of_memory_goes_on() -> None:
    code = """
import resource, numpy, logging
from encoders import session
from encoders.bundle import SHIPPED, load_bundle
logging.basicConfig()
session._CPU_WARM_UP = 0
encoder = session.ImageEncoder(load_bundle(SHIPPED), threads=1)
pixels = numpy.random.default_rng(0).integers(0, 256, (64, encoder.size, encoder.size, 3), numpy.uint8)
alone = numpy.concatenate([encoder.encode(pixels[i : i + 1]) for i in range(64)])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 40 * 2**20, -1))
together = encoder.encode(pixels)
print(float((together * alone).sum(axis=1).min()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)

    assert float(done.stdout) >= 0.9999
    assert "no memory for 64 pictures at once, halving" in done.stderr


@pytest.mark.parametrize(
    ("message", "short"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", True),
        ("Available memory of 1024 is smaller than requested bytes of 4096", True),
        ("CUBLAS_STATUS_ALLOC_FAILED", True),
        ("std::bad_alloc", True),
        ("Got invalid dimensions for input: pixels", False),
    ],
)
def test_what_more_memory_would_have_helped_is_known(message: str, short: bool) -> None:
    assert runtime.is_out_of_memory(RuntimeError(message)) is short
    assert runtime.is_out_of_memory(MemoryError())


def test_fixed_buffers_give_the_same_vectors(encoder: ImageEncoder) -> None:
    binding = Binding(encoder._session, most=16, size=encoder.size, dimension=encoder.dimension)

    for count, bucket in ((16, 16), (3, 4), (1, 1), (9, 16)):
        pixels = _pixels(encoder, count, seed=count)
        vectors = binding.run(pixels, bucket)

        assert np.allclose(vectors, encoder.encode(pixels), atol=1e-5)
        assert not np.shares_memory(vectors, binding._vectors)


def test_many_threads_may_share_the_buffers(encoder: ImageEncoder) -> None:
    binding = Binding(encoder._session, most=8, size=encoder.size, dimension=encoder.dimension)
    batches = [_pixels(encoder, 1 + i % 8, seed=i) for i in range(24)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda pixels: binding.run(pixels, 8), batches))

    assert all(np.allclose(a, encoder.encode(b), atol=1e-5) for a, b in zip(found, batches, strict=True))


def test_a_limit_of_gpu_memory_reaches_onnx_runtime() -> None:
    (_, cuda), fallback = runtime._providers("cuda", 2**30)

    assert (cuda["gpu_mem_limit"], cuda["arena_extend_strategy"]) == ("1073741824", "kSameAsRequested")
    assert fallback == "CPUExecutionProvider"
    assert "gpu_mem_limit" not in runtime._providers("cuda", None)[0][1]


@pytest.mark.skipif("not _has_gpu()", reason="no GPU on this machine")
def test_a_gpu_reads_page_locked_memory_and_halves_what_its_memory_is_too_small_for() -> None:
    roomy = ImageEncoder(load_bundle(SHIPPED), device="cuda")
    assert roomy._binding is not None
    assert roomy._binding.pinned

    tight = ImageEncoder(load_bundle(SHIPPED), device="cuda", gpu_memory=48 * 2**20)

    pixels = _pixels(roomy, 64)
    assert np.sum(tight.encode(pixels) * roomy.encode(pixels), axis=1).min() >= 0.9999


def _has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


def test_a_sound_bundle_starts(tmp_path: Path) -> None:
    vectors = ImageEncoder(tiny_bundle(tmp_path)).encode(np.full((5, 8, 8, 3), 9, np.uint8))

    assert np.allclose(vectors, 1 / math.sqrt(3))


def test_another_dimension_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"dimension: expected float32 \(1, 4\), got float32 \(1, 3\)"):
        ImageEncoder(tiny_bundle(tmp_path, dimension=4))


def test_vectors_of_another_norm_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"expected vectors of norm 1, got 2\.0000"):
        ImageEncoder(tiny_bundle(tmp_path, scale=2.0))


def test_vectors_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="expected vectors of norm 1, got nan"):
        ImageEncoder(tiny_bundle(tmp_path, scale=math.nan))


def test_another_input_size_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"image\.fp32\.onnx"):
        ImageEncoder(tiny_bundle(tmp_path, size=9))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"image\.fp32\.onnx"):
        ImageEncoder(tiny_bundle(tmp_path, content=b"no model"))


def test_the_shipped_model_keeps_to_the_contract() -> None:
    model = onnx.load(load_bundle(SHIPPED).image_path("fp32"))

    onnx.checker.check_model(model, full_check=True)
    shape = model.graph.input[0].type.tensor_type
    assert shape.elem_type == TensorProto.UINT8
    assert shape.shape.dim[0].dim_param  # a dynamic batch


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_a_containers_quota_is_read(tmp_path: Path, files: dict[str, str], cores: float) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert runtime._quota(tmp_path) == cores


def test_threads_follow_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_quota", lambda: 0.5)

    assert runtime.available_cores() == 1
