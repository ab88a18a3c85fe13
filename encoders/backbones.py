"""Image towers by name: `timm/<name>`, `open_clip/<name>[:pretrained]`, `freshline/tower`, or a checkpoint's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from encoders.towers import ImageTower, TrunkTower, projection


class BackboneError(ValueError):
    """No model of that name, or its weights can't be had; the message says which and why."""


def image_tower(
    name: str,
    *,
    dimension: int | None = None,
    size: int | None = None,
    checkpoint: Path | None = None,
    pretrained: bool = True,
) -> ImageTower:
    """Make a tower, in evaluation mode.

    Args:
        name: `timm/<name>`, `open_clip/<name>[:pretrained]`, `freshline/tower`, or the path of a checkpoint.
        dimension: floats in a vector, by default what the model gives; another is a projection on top.
        size: height and width of the input in pixels, by default the model's own.
        checkpoint: weights from `save_checkpoint` for a tower of this name.
        pretrained: fetch the weights from the model's hub (once; they are kept); otherwise they are random.

    Raises:
        BackboneError: no such model, no way to its hub, or a checkpoint that doesn't fit.
    """
    if Path(name).is_file():
        return _from_checkpoint(Path(name))
    tower = _named(name, dimension, size, pretrained=pretrained and checkpoint is None)
    if checkpoint is not None:
        _load(tower, read_checkpoint(checkpoint)["tower"], checkpoint)
    return tower.eval()


def save_checkpoint(path: Path, tower: ImageTower, **more: Any) -> None:
    """Write what makes the tower again, and whatever else a training keeps (tensors and plain values only)."""
    fields = {"backbone": tower.backbone, "dimension": tower.dimension, "size": tower.size}
    torch.save({**more, **fields, "tower": tower.state_dict()}, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; code in it is never run.

    Raises:
        BackboneError: the file can't be read, or is none.
    """
    try:
        fields: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly anything on a foreign file
        raise BackboneError(f"{path}: no checkpoint: {error}") from error
    for field in ("backbone", "dimension", "size", "tower"):
        if not isinstance(fields, dict) or field not in fields:
            raise BackboneError(f"{path}: no checkpoint of freshline train: it has no field {field!r}")
    return fields


def _from_checkpoint(path: Path) -> ImageTower:
    fields = read_checkpoint(path)
    tower = _named(fields["backbone"], fields["dimension"], fields["size"], pretrained=False)
    _load(tower, fields["tower"], path)
    return tower.eval()


def _load(tower: ImageTower, weights: dict[str, torch.Tensor], path: Path) -> None:
    try:
        tower.load_state_dict(weights)
    except RuntimeError as error:
        raise BackboneError(f"{path}: not the weights of {tower.backbone}: {error}") from error


def _named(name: str, dimension: int | None, size: int | None, *, pretrained: bool) -> ImageTower:
    family, _, model = name.partition("/")
    if name == "freshline/tower":
        from encoders.training.tower import DIMENSION, SIZE, Tower  # noqa: PLC0415 (only who asks for it needs it)

        return Tower(dimension or DIMENSION, size or SIZE)
    if family == "timm" and model:
        return _timm(name, model, dimension, size, pretrained=pretrained)
    if family == "open_clip" and model:
        from encoders.clip import clip_towers  # noqa: PLC0415

        return clip_towers(model, dimension, size, pretrained=pretrained).image
    raise BackboneError(f"{name}: neither timm/<name>, open_clip/<name>[:pretrained], freshline/tower nor a file")


def _timm(name: str, model: str, dimension: int | None, size: int | None, *, pretrained: bool) -> ImageTower:
    from timm.data.config import resolve_model_data_config  # noqa: PLC0415 (seconds to import)

    try:
        trunk = _timm_trunk(model, size, pretrained=pretrained)
    except Exception as error:  # hubs fail in many ways
        raise BackboneError(f"{name}: {error}") from error
    config: dict[str, Any] = resolve_model_data_config(trunk)  # type: ignore[no-untyped-call]
    size = size or config["input_size"][-1]
    features = _features(trunk, size)
    return TrunkTower(
        name,
        trunk,
        mean=config["mean"],
        std=config["std"],
        size=size,
        resize="crop",
        head=projection(features, dimension),
        dimension=dimension or features,
    )


def _timm_trunk(model: str, size: int | None, *, pretrained: bool) -> nn.Module:
    import timm  # noqa: PLC0415

    fixed = timm.get_pretrained_cfg(model)
    sized: dict[str, Any] = {"img_size": size} if size and fixed and fixed.fixed_input_size else {}
    trunk: nn.Module = timm.create_model(model, pretrained=pretrained, num_classes=0, **sized)
    return trunk.eval()


def _features(trunk: nn.Module, size: int) -> int:
    with torch.inference_mode():
        found = trunk(torch.zeros(1, 3, size, size))
    if found.ndim != 2:
        raise BackboneError(f"expected one vector a picture, got {tuple(found.shape)}")
    return int(found.shape[1])
