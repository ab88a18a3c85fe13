"""What the benchmark of writes writes: products that are changed again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from indexer.compose import Encoded, compose
from indexer.decide import Change, decide
from indexer.points import Point
from schemas.events import Event, Image, Product, VersionScheme

LOWEST, HIGHEST = 1, 50
"""The products' versions as counters at the start: neighbours in a batch are rarely at the same one."""


@dataclass(frozen=True)
class Job:
    """A batch: a change of each product, and the whole points that they come to."""

    changes: list[Change]
    points: list[Point]
    fresh: list[dict[Image, Encoded]]


class Catalogue:
    """Products that are changed again and again, each with one picture of its own."""

    def __init__(self, products: int, scheme: VersionScheme, dimension: int) -> None:
        self.products = products
        chance = np.random.default_rng(dimension)
        vectors = chance.normal(size=(products, dimension)).astype(np.float32)
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self._scheme = scheme
        self._versions = [0] * products
        self._starts = chance.integers(LOWEST, HIGHEST + 1, products).tolist()
        self._offset = 0

    def changed(self, numbers: range) -> Job:
        """The next change of each of these products."""
        job = Job([], [], [])
        for number in numbers:
            read, event = self._versions[number], self._next(number)
            self._offset += 1
            change = Change(event, self._offset)
            row = self._vectors[number]
            fresh = {event.images[0]: Encoded(f"sha256:{number:064x}", row)}
            payload = compose(decide(change, None), fresh, [], event.occurred_at).payload
            job.changes.append(change)
            job.fresh.append(fresh)
            job.points.append(Point(payload, [row], read))
        return job

    def _next(self, number: int) -> Event:
        now = datetime.now(UTC)
        timestamp = round(now.timestamp() * 1_000_000)
        counter = self._versions[number] + 1 if self._versions[number] else self._starts[number]
        version = self._versions[number] = timestamp if self._scheme == "timestamp" else counter
        product = Product(
            title=f"Striped teal mug {number}",
            category="mug",
            brand="Acme",
            price=version % 100,
            currency="EUR",
            attributes={"color": "teal", "size": number % 50},
            images=[Image(url=f"https://images.example/{number}.jpg")],
        )
        return Event(
            event_id=f"{number}-{version}",
            type="updated",
            product_id=f"product-{number}",
            version=version,
            occurred_at=now,
            product=product,
        )
