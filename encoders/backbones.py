"""Image towers by name: `timm/<name>`, `open_clip/<name>[:pretrained]`, `freshline/tower`, or a checkpoint's file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from encoders.hubs import BackboneError, fetching, likely
from encoders.towers import ImageTower, Model, TrunkTower, projection

__all__ = ["BackboneError", "image_tower", "model", "read_checkpoint", "save_checkpoint"]


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
        name: `timm/<name>`, `open_clip/<name>[:pretrained]`, `freshline/tower`, or a checkpoint: its file, or the
            folder that `freshline train` wrote.
        dimension: floats in a vector, by default what the model gives; another is a projection on top.
        size: height and width of the input in pixels, by default the model's own.
        checkpoint: weights from `save_checkpoint` for a tower of this name.
        pretrained: fetch the weights from the model's hub (once; they are kept); otherwise they are random.

    Raises:
        BackboneError: no such model, no way to its hub, or a checkpoint that doesn't fit.
    """
    given = model(name, dimension=dimension, size=size, checkpoint=checkpoint, pretrained=pretrained, words=False)
    return given.image


def model(
    name: str,
    *,
    dimension: int | None = None,
    size: int | None = None,
    checkpoint: Path | None = None,
    pretrained: bool = True,
    words: bool = True,
) -> Model:
    """Make a model as `image_tower` does, with its text tower where it has one; a checkpoint's is in its bundle only.

    Raises:
        BackboneError: no such model, no way to its hub, or a checkpoint that doesn't fit.
    """
    if (path := _file(name)) is not None:
        fields = read_checkpoint(path)
        found = _named(fields["backbone"], fields["dimension"], fields["size"], pretrained=False, words=False)
        return _with_weights(found, fields["tower"], path)
    found = _named(name, dimension, size, pretrained=pretrained and checkpoint is None, words=words)
    if checkpoint is None:
        return found
    return _with_weights(found, read_checkpoint(checkpoint)["tower"], checkpoint)


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


def _file(name: str) -> Path | None:
    """A checkpoint's file: the one named, or that of the folder that `freshline train` wrote."""
    paths = (Path(name), Path(name) / "checkpoint.pt")
    return next((path for path in paths if path.is_file()), None)


def _with_weights(found: Model, weights: dict[str, torch.Tensor], path: Path) -> Model:
    try:
        found.image.load_state_dict(weights)
    except RuntimeError as error:
        raise BackboneError(f"{path}: not the weights of {found.image.backbone}: {error}") from error
    return Model(found.image.eval(), hashlib.sha256(path.read_bytes()).hexdigest()[:12])


def _named(name: str, dimension: int | None, size: int | None, *, pretrained: bool, words: bool) -> Model:
    family, _, rest = name.partition("/")
    if name == "freshline/tower":
        from encoders.training.tower import DIMENSION, SIZE, Tower  # noqa: PLC0415 (only who asks for it needs it)

        return Model(Tower(dimension or DIMENSION, size or SIZE).eval(), "random")
    if family == "timm" and rest:
        return _timm(name, rest, dimension, size, pretrained=pretrained)
    if family == "open_clip" and rest:
        from encoders.clip import clip_model  # noqa: PLC0415

        return clip_model(rest, dimension, size, pretrained=pretrained, words=words)
    raise BackboneError(f"{name}: neither timm/<name>, open_clip/<name>[:pretrained], freshline/tower nor a file")


def _timm(name: str, rest: str, dimension: int | None, size: int | None, *, pretrained: bool) -> Model:
    import timm  # noqa: PLC0415 (seconds to import)
    from timm.data.config import resolve_model_data_config  # noqa: PLC0415

    if not rest.startswith("hf-hub:") and not timm.is_model(rest):
        raise BackboneError(f"{name}: no such model{likely(rest, timm.list_models())}")
    known = timm.get_pretrained_cfg(rest)
    sized: dict[str, Any] = {"img_size": size} if size and known and known.fixed_input_size else {}
    with fetching(name, pretrained=pretrained):
        trunk: nn.Module = timm.create_model(rest, pretrained=pretrained, num_classes=0, **sized).eval()
    config: dict[str, Any] = resolve_model_data_config(trunk)  # type: ignore[no-untyped-call]
    side = size or config["input_size"][-1]
    features = _features(name, trunk, side)
    tower = TrunkTower(
        name,
        trunk,
        mean=config["mean"],
        std=config["std"],
        size=side,
        resize="crop",
        head=projection(features, dimension),
        dimension=dimension or features,
    )
    return Model(tower.eval(), (known.tag if known else None) or "pretrained" if pretrained else "random")


def _features(name: str, trunk: nn.Module, size: int) -> int:
    with fetching(f"{name} at {size} pixels", pretrained=False), torch.inference_mode():
        found = trunk(torch.zeros(1, 3, size, size))
    if not isinstance(found, torch.Tensor) or found.ndim != 2:
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise BackboneError(f"{name}: expected one vector a picture, got {shape}")
    return int(found.shape[1])
