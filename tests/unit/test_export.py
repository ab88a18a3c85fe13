"""An exported model gives the vectors of the original, and says how nearly."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from encoders.bundle import load_bundle
from encoders.pixels import Pixels, decode
from encoders.session import ImageEncoder
from encoders.training.drawing import photo, random_product
from encoders.training.unseen import jpeg

if importlib.util.find_spec("torch") is None and "CI" not in os.environ:
    pytest.skip("PyTorch is not installed (extra `train`)", allow_module_level=True)

import torch
from torch import nn

from encoders import conversion, parity
from encoders.conversion import ConversionError
from encoders.export import apart, export_bundle
from encoders.parity import ParityError
from encoders.training.tower import Tower


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    return [decode(jpeg(photo(random_product(seed), 96)), size=48, resize="pad") for seed in range(24)]


@pytest.fixture(scope="module")
def tower() -> Tower:
    torch.manual_seed(0)
    return Tower(16, 48).eval()


@pytest.fixture(scope="module")
def whole(tower: Tower) -> bytes:
    return conversion.image_onnx(tower)


def _export(folder: Path, pictures: list[Pixels], tower: Tower, **options: Any) -> Any:
    return export_bundle(folder, name="tower", revision="1", image=tower, images=pictures, **options)


class _Fine(Tower):
    """A tower that half precision can't follow: it lives on a difference of weights far below its steps."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.float().mean(dim=(1, 2)) / 255
        both = nn.functional.linear(x, torch.tensor([[1.0004] * 3, [1.0] * 3]))
        return nn.functional.normalize(nn.functional.pad(both[:, :1] - both[:, 1:], (0, 15), value=1e-4), dim=1)


def test_every_variant_is_proven_and_works(tmp_path: Path, pictures: list[Pixels], tower: Tower) -> None:
    written = _export(tmp_path, pictures, tower)

    manifest = load_bundle(tmp_path).manifest
    assert manifest == written.manifest
    assert (manifest.dimension, manifest.input_size, manifest.resize) == (16, 48, "pad")
    assert {"fp32", "fp16"} <= set(manifest.image)
    for variant in manifest.image:
        assert manifest.parity[variant].images == 24
        assert manifest.parity[variant].min_cosine >= parity.LEAST_COSINE[variant]
        vectors = ImageEncoder(written, variant=variant, threads=1).encode(np.stack(pictures))
        assert parity.cosines(vectors, parity.torch_vectors(tower, np.stack(pictures))).min() >= 0.999
    assert manifest.parity["fp16"].recall_change is not None


def test_half_precision_is_half_the_size_and_fits_float32_around_it(whole: bytes) -> None:
    half = conversion.half(whole)

    assert len(half) < 0.6 * len(whole)
    onnx.checker.check_model(onnx.load_from_string(half), full_check=True)
    session = onnxruntime.InferenceSession(half, providers=["CPUExecutionProvider"])
    assert [each.type for each in session.get_inputs()] == ["tensor(uint8)"]
    assert [each.type for each in session.get_outputs()] == ["tensor(float)"]


def test_squares_too_large_for_half_precision_are_summed_in_float32(pictures: list[Pixels]) -> None:
    tower = Tower(16, 48).eval()
    with torch.no_grad():
        tower.head.weight *= 1e4  # the vector's squares are past 65504 by far

    vectors = parity.onnx_vectors(conversion.half(conversion.image_onnx(tower)), np.stack(pictures))

    assert parity.cosines(vectors, parity.torch_vectors(tower, np.stack(pictures))).min() >= 0.999


def test_eight_bits_are_smaller_and_have_integer_weights(pictures: list[Pixels], whole: bytes) -> None:
    small = conversion.eight_bits(whole, np.stack(pictures))

    assert len(small) < 0.8 * len(whole)
    kinds = {weights.data_type for weights in onnx.load_from_string(small).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds


def test_a_variant_that_is_too_far_gets_a_space_of_its_own(tmp_path: Path, pictures: list[Pixels]) -> None:
    bundle = _export(tmp_path, pictures, _Fine(16, 48), variants=("fp32", "fp16"))

    assert set(bundle.manifest.image) == {"fp32"}
    (alone,) = apart(bundle, ("fp32", "fp16"))
    assert alone.folder == tmp_path / "fp16"
    assert set(alone.manifest.image) == {"fp16"}
    assert alone.manifest.space != bundle.manifest.space
    assert alone.manifest.parity["fp16"].min_cosine < 0.999


def test_a_model_that_changed_on_its_way_is_refused_and_not_written(
    tmp_path: Path, pictures: list[Pixels], whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "image_onnx", lambda tower: whole)
    torch.manual_seed(1)

    with pytest.raises(ParityError, match=r"the image tower: cosine .* under 0\.9999"):
        _export(tmp_path / "new", pictures, Tower(16, 48))

    assert not (tmp_path / "new").exists()


def test_what_torch_can_not_export_is_an_error_with_its_cause(tmp_path: Path, pictures: list[Pixels]) -> None:
    class Choosy(Tower):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().forward(pixels if int(pixels.sum()) % 2 else pixels.flip(1))

    with pytest.raises(ConversionError, match=r"PyTorch can't export it to ONNX: TorchExportError: .*data-dependent"):
        _export(tmp_path / "new", pictures, Choosy(16, 48))

    assert not (tmp_path / "new").exists()


def test_what_onnx_runtime_can_not_run_is_an_error(pictures: list[Pixels]) -> None:
    with pytest.raises(ParityError, match="ONNX Runtime can't run what was exported"):
        parity.onnx_vectors(b"no model", np.stack(pictures))


@pytest.mark.parametrize(
    ("images", "message"),
    [([], "images: none"), ([np.zeros((40, 48, 3), np.uint8)], r"images: expected uint8 \(48, 48, 3\)")],
)
def test_images_that_prove_nothing_are_refused(
    tmp_path: Path, images: list[Pixels], message: str, tower: Tower
) -> None:
    with pytest.raises(ValueError, match=message):
        _export(tmp_path, images, tower)


def test_vectors_that_are_no_numbers_count_as_opposite() -> None:
    nothing = np.full((1, 3), np.nan, np.float32)

    assert parity.cosines(nothing, np.ones((1, 3), np.float32)).tolist() == [-1]


def test_a_picture_seen_again_is_found_by_a_model_that_sees_pixels(pictures: list[Pixels]) -> None:
    pixels = np.stack(pictures)
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)

    assert parity.recall_at_1(flat, flat / np.linalg.norm(flat, axis=1, keepdims=True)) == 1
    again = parity.seen_again(pixels)
    assert again.shape == pixels.shape
    assert again.mean() < pixels.mean()


@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="no GPU on this machine")
def test_half_precision_on_a_gpu_agrees_with_the_cpu(tmp_path: Path, pictures: list[Pixels], tower: Tower) -> None:
    bundle = _export(tmp_path, pictures, tower, variants=("fp32", "fp16"))

    encoder = ImageEncoder(bundle, device="cuda")

    assert encoder.variant == "fp16"
    vectors = encoder.encode(np.stack(pictures))
    assert parity.cosines(vectors, parity.torch_vectors(tower, np.stack(pictures))).min() >= 0.999
