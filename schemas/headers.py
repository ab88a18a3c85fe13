"""The headers that records carry between our topics. Values are ASCII; numbers are written in digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

BULK = "bulk"
"""On an import's events: index when live products leave room."""
FORCE = "force"
"""On a replayed event: encode again what is already encoded."""
VIEW = "view"
"""On a parked or redriven event: only this view's workers are meant; others pass it over."""
LANE = "lane"
"""On a parked event: where its freshness counts, `live` or `replay`."""
FIRST_SEEN = "first-seen"
"""On a parked event: when the record that first met the trouble was appended, in ms; its budget counts from there."""
COUNTED = "counted"
"""On a parked event: its freshness, or its miss, is counted already."""
ATTEMPTS = "attempts"
"""On a parked or redriven event: how often it was tried before."""
SOURCE_PARTITION = "source-partition"
SOURCE_OFFSET = "source-offset"
"""Where a replayed, parked or redriven event stands in `catalog.events`."""
SOURCE_TIMESTAMP = "source-timestamp"
"""When it was appended there, in ms: a null value is a delete at that time."""

MAX_DIGITS = 14  # 32 times the offset must be a version's size at most

Headers = Mapping[str, bytes | None]


class InvalidHeader(ValueError):
    """A header that is missing or no number; the message names it."""


@dataclass(frozen=True)
class Source:
    """Where an event stands in `catalog.events`, and when it was appended there."""

    partition: int
    offset: int
    timestamp_ms: int

    def headers(self) -> dict[str, bytes | None]:
        """What a record must carry wherever the event goes from there."""
        return {
            SOURCE_PARTITION: b"%d" % self.partition,
            SOURCE_OFFSET: b"%d" % self.offset,
            SOURCE_TIMESTAMP: b"%d" % self.timestamp_ms,
        }

    @classmethod
    def read(cls, headers: Headers) -> Self:
        """The source that a record of another topic names.

        Raises:
            InvalidHeader: it names none.
        """
        return cls(number(headers, SOURCE_PARTITION), number(headers, SOURCE_OFFSET), number(headers, SOURCE_TIMESTAMP))


def number(headers: Headers, name: str, default: int | None = None) -> int:
    """A header's whole number.

    Raises:
        InvalidHeader: it is no number in ASCII digits, or missing without a `default`.
    """
    digits = headers.get(name)
    if digits is None and default is not None:
        return default
    if not digits or not digits.isdigit() or len(digits) > MAX_DIGITS:
        raise InvalidHeader(f"header {name}: must be a number in ASCII digits")
    return int(digits)


def text(headers: Headers, name: str) -> str | None:
    """A header's text, or None where it is missing or no UTF-8."""
    value = headers.get(name)
    return value.decode(errors="replace") if value is not None else None
