"""The pictures of a training, decoded once and seen anew each time: as phones would take them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from encoders.pixels import ImageError, Pixels, decode
from encoders.runtime import available_cores
from encoders.training.photos import Photo, TableError
from encoders.training.recipe import Recipe
from schemas.bundles import Resize

_MARGIN = 1.3
_SMOOTH = v2.InterpolationMode.BILINEAR


def decoded(photos: Sequence[Photo], *, size: int, resize: Resize) -> Pixels:
    """Decode as production does: uint8 (n, size, size, 3). That is all the memory that it takes.

    Raises:
        TableError: naming a file that is no picture.
    """
    with ThreadPoolExecutor(available_cores()) as pool:
        return np.stack(list(pool.map(lambda photo: _decoded(photo.path, size, resize), photos)))


class Views:
    """Photos in memory, somewhat larger than the tower's input, and what may happen to them.

    Args:
        photos: to learn from.
        size: height and width of the tower's input.
        resize: how production brings pictures to it.
        recipe: how strongly to vary them.
    """

    def __init__(self, photos: Sequence[Photo], *, size: int, resize: Resize, recipe: Recipe) -> None:
        self._recipe = recipe
        pixels = decoded(photos, size=round(size * _MARGIN), resize=resize)
        self._pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        self._street = [photo.kind == "street" for photo in photos]

    def draw(self, chosen: Sequence[int], *, size: int, seed: int) -> torch.Tensor:
        """Some of the photos, varied at random: uint8 (n, size, size, 3). Equal seeds give equal pictures."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            street, shop = street_view(size, self._recipe), shop_view(size, self._recipe.vary)
            views = [(street if self._street[i] else shop)(self._pictures[i]) for i in chosen]
        return torch.stack(views).permute(0, 2, 3, 1)


class Jpeg(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Through JPEG and back, with Pillow (torchvision's own is to go); uint8 (3, h, w)."""

    def __init__(self, worst: int, best: int) -> None:
        super().__init__()
        self._worst, self._best = worst, best

    def make_params(self, flat_inputs: list[Any]) -> dict[str, int]:
        """Draw the quality."""
        return {"quality": int(torch.randint(self._worst, self._best + 1, ()))}

    def transform(self, inpt: torch.Tensor, params: dict[str, int]) -> torch.Tensor:
        """Compress."""
        buffer = BytesIO()
        Image.fromarray(inpt.permute(1, 2, 0).numpy()).save(buffer, "jpeg", quality=params["quality"])
        return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)


def street_view(size: int, recipe: Recipe) -> v2.Transform:
    """What phones do to a product: nearness, turn, light, colour cast, blur, compression, and what is in the way."""
    vary = recipe.vary
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(1 - 0.75 * vary, 1), ratio=(0.7**vary, 1.4**vary), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.RandomRotation(recipe.turn * vary, interpolation=_SMOOTH)], p=0.5),
            v2.ColorJitter(brightness=0.4 * vary, contrast=0.4 * vary, saturation=0.4 * vary),
            v2.RandomApply([v2.ColorJitter(hue=recipe.tint)], p=0.3 * vary),
            v2.RandomApply([v2.GaussianBlur(5, (0.1, 1.5))], p=0.15 * vary),
            v2.RandomApply([Jpeg(30, 90)], p=0.2 * vary),
            v2.RandomErasing(p=0.4 * vary, scale=(0.02, 0.25), value="random"),
        ]
    )


def shop_view(size: int, vary: float) -> v2.Transform:
    """A product's own photo changes less: it is always taken with care."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(1 - 0.5 * vary, 1), ratio=(0.8**vary, 1.25**vary), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.RandomRotation(15 * vary, interpolation=_SMOOTH, fill=255)], p=0.5),
            v2.ColorJitter(brightness=0.25 * vary, contrast=0.25 * vary, saturation=0.25 * vary),
        ]
    )


def _decoded(path: Path, size: int, resize: Resize) -> Pixels:
    try:
        return decode(path.read_bytes(), size=size, resize=resize)
    except (OSError, ImageError) as error:
        raise TableError(f"{path}: {error}") from error
