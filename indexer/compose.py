"""From a plan and freshly encoded images to the whole point that is to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from indexer.decide import Plan, row_of
from indexer.points import Point, Stored
from indexer.wire import Row
from schemas.events import Event, Image
from schemas.payloads import EncodedImage, FailedImage, Payload, revision_of


@dataclass(frozen=True)
class Encoded:
    """A freshly encoded image: the SHA-256 of its bytes, and its vector of shape (dimension,)."""

    digest: str
    vector: Row


def compose(plan: Plan, encoded: Mapping[Image, Encoded], failed: Sequence[FailedImage], indexed_at: datetime) -> Point:
    """The whole point.

    An image that could not be had keeps the row that the view holds for it; when not one of the wanted images has a
    row, the product keeps all its old rows, so that it stays findable until it is completed.
    """
    event, stored = plan.change.event, plan.stored
    if event.deleted:
        return tombstone(plan, indexed_at)
    rows = [row for image in event.images if (row := _row(image, encoded, stored)) is not None]
    revision = revision_of(plan.change.offset, len(rows))
    if not rows and stored and stored.encoded:
        rows = list(zip(stored.encoded, _vectors(stored), strict=True))
    payload = _payload(event, revision, indexed_at, [entry for entry, _ in rows], list(failed))
    return Point(payload, [vector for _, vector in rows], stored.version if stored else 0)


def tombstone(plan: Plan, deleted_at: datetime) -> Point:
    """A deleted product's point: no vectors, so search can't find it, and a late create can't pass its version."""
    event = plan.change.event
    payload = Payload(
        product_id=event.product_id,
        version=event.version,
        revision=revision_of(plan.change.offset, 0),
        occurred_at=event.occurred_at,
        indexed_at=deleted_at,
        event_id=event.event_id,
        deleted=True,
    )
    return Point(payload, [], plan.stored.version if plan.stored else 0)


def _row(image: Image, encoded: Mapping[Image, Encoded], stored: Stored | None) -> tuple[EncodedImage, Row] | None:
    if fresh := encoded.get(image):
        return EncodedImage(url=image.url, digest=fresh.digest), fresh.vector
    row = row_of(image, stored)
    if stored is None or row is None:
        return None
    return EncodedImage(url=image.url, digest=stored.encoded[row].digest), _vectors(stored)[row]


def _vectors(stored: Stored) -> Sequence[Row]:
    assert stored.vectors is not None, "a plan that keeps vectors was made without reading them"
    return stored.vectors


def _payload(
    event: Event, revision: int, indexed_at: datetime, encoded: list[EncodedImage], failed: list[FailedImage]
) -> Payload:
    product = event.product
    assert product is not None, "only a deleted event has no product"
    return Payload(
        product_id=event.product_id,
        version=event.version,
        revision=revision,
        occurred_at=event.occurred_at,
        indexed_at=indexed_at,
        event_id=event.event_id,
        title=product.title,
        category=product.category,
        brand=product.brand,
        price=None if product.price is None else float(product.price),
        currency=product.currency,
        attributes=product.attributes,
        image_urls=[image.url for image in event.images],
        encoded_images=encoded,
        failed_images=failed,
    )
