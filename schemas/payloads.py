"""What a point in Qdrant holds beside its vectors, and how points are named and ordered."""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from schemas.events import AttributeValue

# Fixed for ever: it is part of every point's id.
POINT_NAMESPACE = uuid.UUID("3f6c1f0e-5d0a-5b0f-9a55-6d1f5e3f7c11")
MAX_ENCODED = 32

VECTOR_NAME = "images"
"""The named multivector of a point: one row per encoded image."""
PRODUCT_VECTOR = "product"
"""The named vector of a point that searches begin with: the mean of its images' rows, L2-normalised."""


@lru_cache(4096)  # asked several times about each event in flight
def point_id(product_id: str) -> str:
    """One product is one point: the UUIDv5 of its id."""
    return str(uuid.uuid5(POINT_NAMESPACE, product_id))


def revision_of(offset: int, encoded: int) -> int:
    """Order writes of one version: log order first, then completeness.

    Args:
        offset: of the event in `catalog.events`, kept through replay, retry and dead letters.
        encoded: how many of its images have a vector, 0 to 31, so that a partial write never replaces a fuller one.
    """
    assert 0 <= encoded < MAX_ENCODED
    return offset * MAX_ENCODED + encoded


class EncodedImage(BaseModel):
    """The picture behind one row of the vectors; `digest` is the SHA-256 of the bytes that were encoded."""

    model_config = ConfigDict(frozen=True)

    url: str
    digest: str


class FailedImage(BaseModel):
    """A picture that could not be had, and why."""

    model_config = ConfigDict(frozen=True)

    url: str
    reason: str


class Payload(BaseModel):
    """A point's payload. `encoded_images` has one entry per row of its vectors, in the same order."""

    model_config = ConfigDict(frozen=True)

    product_id: str
    version: int
    revision: int
    occurred_at: datetime
    indexed_at: datetime
    event_id: str
    title: str | None = None
    category: str | None = None
    brand: str | None = None
    price: float | None = None
    currency: str | None = None
    attributes: dict[str, AttributeValue] = {}
    image_urls: list[str] = []
    encoded_images: list[EncodedImage] = []
    failed_images: list[FailedImage] = []
    deleted: bool = False

    @property
    def rank(self) -> tuple[int, int]:
        """(version, revision): the higher one stays."""
        return self.version, self.revision

    @property
    def offset(self) -> int:
        """Where the event of this payload stands in `catalog.events`."""
        return self.revision // MAX_ENCODED
