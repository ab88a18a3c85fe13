"""`freshline export` as its users meet it, on random weights: no hub is needed."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from encoders.bundle import load_bundle
from encoders.session import ImageEncoder
from encoders.training.drawing import photo, random_product
from encoders.training.unseen import jpeg
from freshline.cli import app
from freshline.cli.errors import Failure

if importlib.util.find_spec("torch") is None and "CI" not in os.environ:
    pytest.skip("PyTorch is not installed (extra `train`)", allow_module_level=True)

from encoders.backbones import BackboneError, image_tower, read_checkpoint, save_checkpoint
from encoders.towers import ImageTower


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(8):
        (folder / f"{seed}.jpg").write_bytes(jpeg(photo(random_product(seed), 64)))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder


def _run(*arguments: Any) -> Any:
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_checkpoint_of_a_timm_model_becomes_a_bundle(tmp_path: Path, photos: Path) -> None:
    tower = image_tower("timm/resnet10t", dimension=32, size=64, pretrained=False)
    save_checkpoint(tmp_path / "mine.pt", tower, epoch=3)

    options = ("--images", photos, "--variants", "fp16", "--json")
    figures = json.loads(_run(tmp_path / "mine.pt", "--out", tmp_path / "bundle", *options).stdout)

    manifest = load_bundle(tmp_path / "bundle").manifest
    assert (figures["name"], figures["dimension"], figures["input_size"]) == ("mine", 32, 64)
    assert (manifest.space, manifest.resize) == (figures["space"], "crop")
    assert set(figures["variants"]) == {"fp32", "fp16"}
    assert figures["variants"]["fp32"]["images"] == 8, "the broken picture is left out"
    assert figures["text"] is None
    pixels = np.zeros((2, 64, 64, 3), np.uint8)
    assert ImageEncoder(load_bundle(tmp_path / "bundle")).encode(pixels).shape == (2, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("timm/resnet11",), "timm/resnet11: no such model; did you mean resnet101"),
        (("open_clip/ViT-B-33",), "open_clip/ViT-B-33: no such model; did you mean ViT-B-32"),
        (("open_clip/ViT-B-32",), "which weights[?] openai, "),
        (("resnet50",), "resnet50: neither timm/<name>, open_clip/"),
        (("freshline/tower", "--variants", "fp8"), "--variants: 'fp8' is none of fp32, fp16, int8"),
        (("freshline/tower", "--checkpoint", __file__), "test_export_cli.py: no checkpoint: "),
    ],
)
def test_what_can_not_be_exported_is_named(
    tmp_path: Path, photos: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(Failure, match=message):
        _run(*arguments, "--out", tmp_path / "new", "--images", photos)

    assert not (tmp_path / "new").exists()


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"--images .*: no picture that can be read"):
        _run("freshline/tower", "--out", tmp_path / "new", "--images", tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = _run("freshline/tower", "--out", tmp_path / "new", "--images", tmp_path / "nowhere")

    assert result.exit_code == 2
    assert "--images" in result.stderr


def test_weights_that_can_not_be_fetched_are_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    def unreachable(*arguments: Any, **options: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(timm, "create_model", unreachable)

    with pytest.raises(BackboneError, match=r"timm/resnet10t: Name or service not known \(weights are fetched from"):
        image_tower("timm/resnet10t")


@pytest.mark.parametrize("name", ["timm/resnet10t", "timm/vit_tiny_patch16_224", "freshline/tower"])
def test_a_tower_has_the_size_and_the_dimension_that_were_asked_for(name: str) -> None:
    import torch

    tower = image_tower(name, dimension=24, size=64, pretrained=False)

    vectors = tower(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    assert (tower.size, tower.dimension, tower.backbone) == (64, 24, name)
    assert vectors.shape == (2, 24)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)


def test_a_checkpoint_gives_the_same_tower_and_keeps_what_else_it_is_given(tmp_path: Path) -> None:
    import torch

    tower = image_tower("freshline/tower", dimension=16, size=48, pretrained=False)
    save_checkpoint(tmp_path / "checkpoint.pt", tower, epoch=3)

    again = image_tower(str(tmp_path / "checkpoint.pt"))

    pixels = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    assert torch.equal(tower(pixels), again(pixels))
    assert read_checkpoint(tmp_path / "checkpoint.pt")["epoch"] == 3


def test_a_checkpoint_of_another_tower_is_refused(tmp_path: Path) -> None:
    tower: ImageTower = image_tower("freshline/tower", dimension=16, size=48, pretrained=False)
    save_checkpoint(tmp_path / "checkpoint.pt", tower)

    with pytest.raises(BackboneError, match=r"checkpoint\.pt: not the weights of timm/resnet10t"):
        image_tower("timm/resnet10t", checkpoint=tmp_path / "checkpoint.pt", pretrained=False)
