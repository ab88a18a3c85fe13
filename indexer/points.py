"""Reading points: what a view holds for a product, with or without its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qdrant_client import QdrantClient, models

from schemas.payloads import VECTOR_NAME, EncodedImage, Payload, point_id

RANK_FIELDS = ["version", "revision"]
DECIDE_FIELDS = [*RANK_FIELDS, "encoded_images"]

Vectors = list[list[float]]


@dataclass(frozen=True)
class Stored:
    """What decides over a product: its place in the order, and the images behind its vectors."""

    version: int
    revision: int
    encoded: tuple[EncodedImage, ...] = ()
    vectors: Vectors | None = None
    """Shape (len(encoded), dimension), L2-normalised; None if they were not read."""

    @property
    def rank(self) -> tuple[int, int]:
        """(version, revision)."""
        return self.version, self.revision


@dataclass(frozen=True)
class Point:
    """A whole point to be written; `vectors` has one row for each of the payload's encoded images."""

    payload: Payload
    vectors: Vectors
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
    records = client.retrieve(view, list(by_point), with_payload=list(fields), with_vectors=vectors)
    return {by_point[str(record.id)]: _stored(record, vectors=vectors) for record in records}


def read_payload(client: QdrantClient, view: str, product_id: str) -> Payload | None:
    """Everything but the vectors, or None."""
    records = client.retrieve(view, [point_id(product_id)], with_payload=True)
    return Payload.model_validate(records[0].payload) if records else None


def _stored(record: models.Record, *, vectors: bool) -> Stored:
    payload = record.payload or {}
    named = record.vector if isinstance(record.vector, dict) else {}
    return Stored(
        version=payload["version"],
        revision=payload["revision"],
        encoded=tuple(EncodedImage.model_validate(entry) for entry in payload.get("encoded_images", [])),
        vectors=named.get(VECTOR_NAME, []) if vectors else None,  # type: ignore[arg-type]  # a multivector, by our schema
    )
