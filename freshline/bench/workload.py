"""What a benchmark indexes: drawn pictures, and the events of products that are shown by them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from encoders.training.drawing import photo, random_product
from schemas.events import Event, Image, Product

PICTURE_SIZE = 800
QUALITY = 88
GRAIN = 3.0
"""Like a shop's photo: 800 pixels on each side, and noise (grey levels) enough to make a JPEG of some 90 kB of it."""


@dataclass(frozen=True)
class Workload:
    """Products in turn, each with one of the pictures: nothing that is fetched, decoded or encoded is remembered."""

    pictures: list[Path]

    def listed(self, numbers: range) -> Iterator[Event]:
        """An event with a new picture for each of these products."""
        return (self._event(number, "created", 10) for number in numbers)

    def repriced(self, numbers: range, rounds: range) -> Iterator[Event]:
        """An event with another price for each of these products, round by round: its picture stays."""
        return (self._event(number, "updated", 11 + turn) for turn in rounds for number in numbers)

    def _event(self, number: int, kind: str, price: int) -> Event:
        picture = self.pictures[number % len(self.pictures)]
        product = Product(
            title=f"Striped teal mug {number}",
            category="mug",
            brand="Acme",
            price=price,
            currency="EUR",
            attributes={"color": "teal", "size": number % 50},
            images=[Image(url=picture.as_uri())],
        )
        return Event(
            event_id=f"{number}-{price}",
            type=kind,
            product_id=f"product-{number}",
            occurred_at=datetime.now(UTC),
            product=product,
        )


def draw(folder: Path, count: int) -> Workload:
    """Draw `count` pictures into `folder`, on all cores."""
    # Spawned: this process has threads, of gRPC and of Kafka, that a fork would not survive.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return Workload(list(pool.map(partial(_draw, folder), range(count), chunksize=8)))


def _draw(folder: Path, seed: int) -> Path:
    path = folder / f"{seed}.jpg"
    large = photo(random_product(seed), PICTURE_SIZE // 2).resize((PICTURE_SIZE, PICTURE_SIZE))
    grain = np.random.default_rng(seed).normal(0, GRAIN, (PICTURE_SIZE, PICTURE_SIZE, 1))
    grainy = np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)
    PILImage.fromarray(grainy).save(path, quality=QUALITY)
    return path
