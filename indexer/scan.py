"""Looking through a whole view, whatever is in it: also at points that nothing of ours has written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import QdrantClient, models

from schemas.payloads import MAX_ENCODED, EncodedImage, point_id

FIELDS = ["product_id", "version", "revision", "deleted", "encoded_images"]


@dataclass(frozen=True)
class Seen:
    """A point without its vectors."""

    id: str
    product_id: str | None
    version: int | None
    revision: int | None
    deleted: bool = False
    encoded: tuple[EncodedImage, ...] = ()

    @property
    def alien(self) -> bool:
        """Whether it is not where its product's point must be, or lacks what every point has."""
        if self.product_id is None or self.version is None or self.revision is None:
            return True
        return self.id != point_id(self.product_id)

    @property
    def offset(self) -> int:
        """Where its event stands in `catalog.events`."""
        return (self.revision or 0) // MAX_ENCODED

    @property
    def place(self) -> tuple[int, int]:
        """(version, offset): the order of changes."""
        return self.version or 0, self.offset


def read_page(client: QdrantClient, view: str, after: Any, most: int) -> tuple[list[Seen], Any]:
    """The next points in the order of their ids, and what to pass as `after` to go on: None at the end, as at first."""
    records, following = client.scroll(view, limit=most, offset=after, with_payload=FIELDS)
    return [_seen(record) for record in records], following


def read_seen(client: QdrantClient, view: str, ids: Sequence[str]) -> dict[str, Seen]:
    """These points, by id, as far as they exist."""
    return {seen.id: seen for seen in map(_seen, client.retrieve(view, [_key(each) for each in ids], FIELDS))}


def remove(client: QdrantClient, view: str, seen: Seen) -> bool:
    """Remove a point unless it has changed since it was seen; whether it is gone."""
    guard = models.Filter(must=[models.HasIdCondition(has_id=[_key(seen.id)]), *_unchanged(seen)])
    client.delete(view, models.FilterSelector(filter=guard), wait=True)
    return not client.retrieve(view, [_key(seen.id)], with_payload=False)


def _unchanged(seen: Seen) -> list[models.Condition]:
    if seen.version is None or seen.revision is None:
        written = models.FieldCondition(key="version", range=models.Range(gte=0))
        return [models.Filter(must_not=[written])] if seen.version is None else [_equal("version", seen.version)]
    return [_equal("version", seen.version), _equal("revision", seen.revision)]


def _equal(key: str, value: int) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _key(point: str) -> str | int:
    return int(point) if point.isdigit() else point


def _seen(record: models.Record) -> Seen:
    payload = record.payload or {}
    return Seen(
        str(record.id),
        _of(str, payload.get("product_id")),
        _of(int, payload.get("version")),
        _of(int, payload.get("revision")),
        payload.get("deleted") is True,
        tuple(_encoded(payload.get("encoded_images"))),
    )


def _of(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else None


def _encoded(entries: Any) -> list[EncodedImage]:
    if not isinstance(entries, list):
        return []
    return [
        EncodedImage(url=str(entry.get("url")), digest=str(entry.get("digest")))
        for entry in entries
        if isinstance(entry, dict)
    ]
