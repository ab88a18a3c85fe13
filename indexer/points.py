"""Reading points: what a view holds for a product, with or without its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from qdrant_client import QdrantClient

from indexer.wire import Found, Row, get
from schemas.payloads import EncodedImage, Payload, point_id

RANK_FIELDS = ["version", "revision"]
DECIDE_FIELDS = [*RANK_FIELDS, "encoded_images"]


@dataclass(frozen=True)
class Stored:
    """What decides over a product: its place in the order, and the images behind its vectors."""

    version: int
    revision: int
    encoded: tuple[EncodedImage, ...] = ()
    vectors: Sequence[Row] | None = None
    """One for each of `encoded`; None if they were not read."""

    @property
    def rank(self) -> tuple[int, int]:
        """(version, revision)."""
        return self.version, self.revision


@dataclass(frozen=True)
class Point:
    """A whole point to be written; `vectors` has one row for each of the payload's encoded images."""

    payload: Payload
    vectors: Sequence[Row]
    read_version: int
    """The version that was stored when this write was planned, 0 for none."""

    @property
    def id(self) -> str:
        """The point's id."""
        return point_id(self.payload.product_id)


def read_stored(
    client: QdrantClient, view: str, product_ids: Sequence[str], *, fields: Sequence[str], vectors: bool = False
) -> dict[str, Stored]:
    """What the view holds for these products, in one request; products that it doesn't know are left out."""
    by_point = {point_id(product_id): product_id for product_id in product_ids}
    found = get(client, view, list(by_point), fields=fields, vectors=vectors)
    return {by_point[each.id]: _stored(each, vectors=vectors) for each in found}


def read_indexed_at(client: QdrantClient, view: str, product_ids: Sequence[str]) -> dict[str, datetime]:
    """When the points of these products were written last; products that the view doesn't know are left out."""
    ids = list(map(point_id, product_ids))
    records = client.retrieve(view, ids, with_payload=["product_id", "indexed_at"])
    payloads = [record.payload for record in records if record.payload]
    return {each["product_id"]: datetime.fromisoformat(each["indexed_at"]) for each in payloads}


def read_payload(client: QdrantClient, view: str, product_id: str) -> Payload | None:
    """Everything but the vectors, or None."""
    records = client.retrieve(view, [point_id(product_id)], with_payload=True)
    return Payload.model_validate(records[0].payload) if records else None


def _stored(found: Found, *, vectors: bool) -> Stored:
    return Stored(found.version, found.revision, found.encoded, found.rows if vectors else None)
