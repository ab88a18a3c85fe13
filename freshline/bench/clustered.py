"""Products to be searched among: alike within their kind, each shown by a few pictures that are more so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from indexer.wire import Whole
from schemas.payloads import Payload

MOST_PICTURES = 6
PER_CLUSTER = 20
CATEGORIES, BRANDS = 50, 8
SPREAD = 0.35
"""Of the products of a cluster about its middle, in unit vectors."""
APART = 0.6
"""Of a product's pictures about its middle, and of a shopper's about one of them: two of a product are at a cosine of
some 0.74."""
BLOCK = 1000


def category(numbers: np.ndarray) -> np.ndarray:
    """Of products: alike ones are of one category."""
    return np.asarray(numbers // PER_CLUSTER % CATEGORIES)


def brand(numbers: np.ndarray) -> np.ndarray:
    """Of products: alike ones are of all brands."""
    return np.asarray(numbers % BRANDS)


def price(numbers: np.ndarray) -> np.ndarray:
    """Of products, 0 to 499: alike ones have any."""
    return np.asarray(numbers * 7919 % 500)


class Clustered:
    """So many products, always the same, each with one to six unit vectors of shape (dimension,), float32.

    They are made in blocks, by a seed for each, so that a million need no memory but that of the block in use.
    """

    def __init__(self, products: int, dimension: int, apart: float = APART) -> None:
        self.products, self._dimension, self._apart = products, dimension, apart
        self._block: tuple[int, np.ndarray, np.ndarray] = (-1, np.empty(0), np.empty(0))

    def rows(self, number: int) -> list[list[float]]:
        """A product's pictures."""
        rows: list[list[float]] = self._array(number).tolist()
        return rows

    def queries(self, many: int) -> tuple[np.ndarray, np.ndarray]:
        """Pictures of so many products, or of all, by shoppers: shape (n, dimension), and the products' numbers."""
        chance = np.random.default_rng(3)
        numbers = np.sort(chance.choice(self.products, min(many, self.products), replace=False))
        pictures = [self._array(number) for number in numbers]
        picked = np.stack([rows[chance.integers(len(rows))] for rows in pictures])
        return _units(picked + self._apart * _units(chance.normal(size=picked.shape).astype(np.float32))), numbers

    def nearest(self, queries: np.ndarray, meets: Callable[[np.ndarray], np.ndarray], limit: int) -> list[set[str]]:
        """The products whose best picture is nearest, compared with all of them.

        Args:
            queries: shape (n, dimension).
            meets: of products' numbers, shape (m,), whether each meets the filter of each query: shape (n, m) or (m,).
            limit: of products for each query; where fewer meet its filter, they are all.
        """
        best = np.full((len(queries), 0), -1.0, np.float32)
        which = np.zeros((len(queries), 0), np.int64)
        for start in range(0, self.products, BLOCK):
            rows, starts = self._made(start // BLOCK)
            numbers = np.arange(start, start + len(starts) - 1)
            scores = np.maximum.reduceat(queries @ rows.T, starts[:-1], axis=1)
            scores = np.where(meets(numbers), scores, -1.0)
            best, which = np.hstack([best, scores]), np.hstack([which, np.tile(numbers, (len(queries), 1))])
            top = np.argsort(-best, axis=1)[:, :limit]
            best, which = np.take_along_axis(best, top, 1), np.take_along_axis(which, top, 1)
        return [
            {f"product-{number}" for number, score in zip(some, scores, strict=True) if score > -1}
            for some, scores in zip(which, best, strict=True)
        ]

    @cached_property
    def pictures(self) -> int:
        """Of all products together."""
        return sum(len(self._made(block)[0]) for block in range(-(-self.products // BLOCK)))

    def _array(self, number: int) -> np.ndarray:
        block, within = divmod(number, BLOCK)
        rows, starts = self._made(block)
        return rows[starts[within] : starts[within + 1]]

    def _made(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of a block's products, and where each product's begin, with the end of the last."""
        if self._block[0] != block:
            self._block = (block, *self._make(block))
        return self._block[1], self._block[2]

    def _make(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        many = min(BLOCK, self.products - block * BLOCK)
        chance = np.random.default_rng([1, block])
        shape = (-(-many // PER_CLUSTER), self._dimension)
        clusters = np.repeat(_units(chance.normal(size=shape).astype(np.float32)), PER_CLUSTER, axis=0)[:many]
        middles = _units(clusters + SPREAD * _units(chance.normal(size=clusters.shape).astype(np.float32)))
        counts = chance.integers(1, MOST_PICTURES + 1, size=many)
        repeated = np.repeat(middles, counts, axis=0)
        rows = _units(repeated + self._apart * _units(chance.normal(size=repeated.shape).astype(np.float32)))
        return rows, np.concatenate([[0], np.cumsum(counts)])


def payload(number: int) -> Payload:
    """What a view holds of a product beside its vectors."""
    now, at = datetime.now(UTC), np.asarray(number)
    return Payload(
        product_id=f"product-{number}",
        version=1,
        revision=1,
        event_id=f"{number}",
        occurred_at=now,
        indexed_at=now,
        title=f"Product {number}",
        category=f"category-{category(at)}",
        brand=f"brand-{brand(at)}",
        price=float(price(at)),
        currency="EUR",
    )


def clustered(data: Clustered, numbers: Iterable[int]) -> list[Whole]:
    """These products as points of a view."""
    return [(payload(number), data.rows(number)) for number in numbers]


def _units(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
