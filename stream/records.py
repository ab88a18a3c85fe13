"""What a worker reads, and how the event in it came there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.headers import ATTEMPTS, BULK, COUNTED, FIRST_SEEN, FORCE, LANE, VIEW, Source, number, text


@dataclass(frozen=True)
class Record:
    """A Kafka record as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Mapping[str, bytes | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Journey:
    """Where an event stands in `catalog.events`, and what it went through since."""

    source: Source
    lane: str = "live"
    """Where its freshness counts: `live`, or `replay` for what is sent again or imported."""
    view: str | None = None
    """The only view that it is meant for; None for all."""
    force: bool = False
    attempts: int = 0
    """How often it was tried before."""
    first_seen_ms: int | None = None
    """When it met trouble for the first time; None if it never did."""
    counted: bool = False
    """Whether an earlier attempt counted its freshness or its miss."""


def read_journey(record: Record, lane: str) -> Journey:
    """On the live lane a record is in its own place, whatever a header says; elsewhere its headers name that place.

    An import's event counts as replayed in every lane.

    Raises:
        InvalidHeader: they don't.
    """
    if lane == "live":
        source = Source(record.partition, record.offset, record.timestamp_ms)
        return Journey(source, lane="replay" if BULK in record.headers else "live")
    headers = record.headers
    return Journey(
        Source.read(headers),
        lane=text(headers, LANE) or "replay",
        view=text(headers, VIEW),
        force=FORCE in headers,
        attempts=number(headers, ATTEMPTS, 0),
        first_seen_ms=number(headers, FIRST_SEEN) if FIRST_SEEN in headers else None,
        counted=COUNTED in headers,
    )
