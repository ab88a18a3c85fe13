"""Products to be searched among, as points: alike within their kind, each shown by a few pictures that are more so."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from qdrant_client import models

from schemas.payloads import VECTOR_NAME, Payload, point_id

MOST_PICTURES = 6
PER_CLUSTER = 20
SPREAD = 0.35
"""Of a product's pictures, and of the products of a cluster, about their middle, in unit vectors."""


def clustered(numbers: range, dimension: int) -> list[models.PointStruct]:
    """The products of these numbers, always the same; each has one to six unit vectors of so many numbers."""
    return [_point(number, dimension) for number in numbers]


def _point(number: int, dimension: int) -> models.PointStruct:
    chance = np.random.default_rng([1, number])
    cluster = np.random.default_rng([2, number // PER_CLUSTER]).normal(size=dimension)
    middle = _unit(cluster) + SPREAD * _unit(chance.normal(size=dimension))
    rows = [
        _unit(_unit(middle) + SPREAD * _unit(chance.normal(size=dimension))).tolist()
        for _ in range(chance.integers(1, MOST_PICTURES + 1))
    ]
    now = datetime.now(UTC)
    payload = Payload(
        product_id=f"product-{number}",
        version=1,
        revision=1,
        event_id=f"{number}",
        occurred_at=now,
        indexed_at=now,
        title=f"Product {number}",
        category=f"category-{number // PER_CLUSTER % 50}",
        brand=f"brand-{number % 200}",
        price=float(number % 500),
        currency="EUR",
    )
    fields = payload.model_dump(mode="json")
    return models.PointStruct(id=point_id(payload.product_id), vector={VECTOR_NAME: rows}, payload=fields)


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))
