"""A drawn catalogue in memory: what the tower is trained on, and what it is measured on."""

from __future__ import annotations

import io
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from PIL import Image

from encoders.pixels import Pixels, decode
from encoders.training.drawing import cutout, photo, random_product
from encoders.training.street import street_photo
from schemas.bundles import Resize


@dataclass(frozen=True)
class Catalogue:
    """Drawn products and their street photos.

    Args:
        categories: each product's category, n of them.
        photos: uint8 (n, size, size, 3).
        streets: uint8 (n, views, size, size, 3).
    """

    categories: list[str]
    photos: Pixels
    streets: Pixels


def draw_catalogue(seeds: range, *, views: int, size: int, processes: int) -> Catalogue:
    """Draw one product a seed, and `views` street photos of it, at once in the size that the tower takes."""
    return _collect(partial(_drawn, views=views, size=size), seeds, processes)


def photograph_catalogue(seeds: range, *, size: int, resize: Resize, processes: int) -> Catalogue:
    """The same with one street photo each, as large JPEG files that were decoded as the index and the query do."""
    return _collect(partial(_photographed, size=size, resize=resize), seeds, processes)


_Drawn = tuple[str, Pixels, Pixels]


def _collect(draw: partial[_Drawn], seeds: range, processes: int) -> Catalogue:
    # Spawned: a process that forks while PyTorch holds threads may never come back.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        drawn = list(pool.map(draw, seeds, chunksize=16))
    categories, photos, streets = zip(*drawn, strict=True)
    return Catalogue(list(categories), np.stack(photos), np.stack(streets))


def _drawn(seed: int, *, views: int, size: int) -> _Drawn:
    product = random_product(seed)
    figure = cutout(product, size)
    streets = [street_photo(product, seed * 1000 + view, size, figure) for view in range(views)]
    return product.category, np.asarray(photo(product, size, figure)), np.stack([np.asarray(s) for s in streets])


def _photographed(seed: int, *, size: int, resize: Resize) -> _Drawn:
    product = random_product(seed)
    figure = cutout(product)
    pictures = (photo(product, figure=figure), street_photo(product, seed * 1000, figure=figure))
    shown, street = (decode(_jpeg(picture), size=size, resize=resize) for picture in pictures)
    return product.category, shown, street[None]


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
