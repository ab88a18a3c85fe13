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
