"""A gallery of labelled products becomes a view: decoded, encoded and written by the very code of a worker."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from encoders.batcher import Pixels, Vectors
from encoders.pixels import ImageError, decode
from indexer.collections import ensure_view
from indexer.compose import Encoded, compose
from indexer.decide import Change, decide
from indexer.points import Point
from indexer.store import Store
from indexer.writer import write
from schemas.bundles import Manifest
from schemas.events import Event, Image, Product, describe
from search.labelled import GalleryProduct, LabelError

_AT_ONCE = 64


async def index_gallery(
    store: Store,
    view: str,
    manifest: Manifest,
    encode: Callable[[Pixels], Vectors],
    products: Sequence[GalleryProduct],
    *,
    done: Callable[[int], None] = lambda _: None,
) -> None:
    """Make the view, and write every product with all its pictures.

    Args:
        store: where the view is made.
        view: a collection that does not exist yet.
        manifest: of the model's bundle.
        encode: uint8 (n, size, size, 3) to float32 (n, dimension).
        products: each once.
        done: called with the number of products written since it was last called.

    Raises:
        LabelError: a picture can't be decoded; it is named.
    """
    await store.run(lambda client: ensure_view(client, view, manifest.dimension, []))
    with ThreadPoolExecutor(1, thread_name_prefix="gallery") as thread:
        for start in range(0, len(products), _AT_ONCE):
            some = products[start : start + _AT_ONCE]
            points = await asyncio.get_running_loop().run_in_executor(thread, _points, some, manifest, encode)
            await store.run(lambda client, points=points: write(client, view, points))  # type: ignore[misc]
            done(len(some))


def _points(products: Sequence[GalleryProduct], manifest: Manifest, encode: Callable[[Pixels], Vectors]) -> list[Point]:
    paths = [path for product in products for path in product.images]
    contents = [path.read_bytes() for path in paths]
    pixels = [_pixels(path, content, manifest) for path, content in zip(paths, contents, strict=True)]
    encoded = [
        Encoded(f"sha256:{hashlib.sha256(content).hexdigest()}", vector)
        for content, vector in zip(contents, encode(np.stack(pixels)), strict=True)
    ]
    by_path = dict(zip(paths, encoded, strict=True))
    return [_point(product, by_path) for product in products]


def _point(product: GalleryProduct, encoded: dict[Path, Encoded]) -> Point:
    images = {Image(url=path.absolute().as_uri()): encoded[path] for path in product.images}
    now = datetime.now(UTC)
    try:
        event = _event(product, list(images), now)
    except ValidationError as error:
        raise LabelError(f"product {product.product_id!r}: {describe(error)}") from error
    return compose(decide(Change(event, offset=0), None), images, [], now)


def _event(product: GalleryProduct, images: list[Image], now: datetime) -> Event:
    title = product.title or product.product_id
    return Event(
        event_id=product.product_id,
        type="created",
        product_id=product.product_id,
        occurred_at=now,
        product=Product(title=title, category=product.category, images=images),
    )


def _pixels(path: Path, content: bytes, manifest: Manifest) -> Pixels:
    try:
        return decode(content, size=manifest.input_size, resize=manifest.resize)
    except ImageError as error:
        raise LabelError(f"{path}: {error}") from error
