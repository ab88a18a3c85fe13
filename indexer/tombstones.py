"""Removing the tombstones of products that were deleted long ago.

A tombstone keeps late events of its product out. It may go once no topic can bring such an event any more: see
`schemas.retentions`.
"""

from __future__ import annotations

from datetime import datetime

from qdrant_client import QdrantClient, models

STEP = 1000


def sweep(client: QdrantClient, view: str, before: datetime) -> int:
    """Remove all tombstones that were written before then, a step at a time; how many went."""
    swept = 0
    while (gone := sweep_some(client, view, before)) is not None:
        swept += gone
    return swept


def sweep_some(client: QdrantClient, view: str, before: datetime, most: int = STEP) -> int | None:
    """Remove at most so many tombstones that were written before then, in three short requests.

    Returns:
        How many went; None if there was none left.
    """
    old = _older_than(before)
    found, _ = client.scroll(view, scroll_filter=old, limit=most, with_payload=False)
    if not found:
        return None
    ids = [record.id for record in found]
    # The condition is asked again where the point is removed: one that was written in the meantime is not old.
    guard = models.Filter(must=[models.HasIdCondition(has_id=ids), old])
    client.delete(view, models.FilterSelector(filter=guard), wait=True)
    return len(ids) - len(client.retrieve(view, ids, with_payload=False))


def _older_than(before: datetime) -> models.Filter:
    return models.Filter(
        must=[
            models.FieldCondition(key="deleted", match=models.MatchValue(value=True)),
            models.FieldCondition(key="indexed_at", range=models.DatetimeRange(lt=before)),
        ]
    )
