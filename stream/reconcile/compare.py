"""What a difference between the log and the view means: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from indexer.scan import Seen
from schemas.events import Image
from schemas.payloads import EncodedImage

_MARK = 8


class Kind(StrEnum):
    """How a view and the log stand to each other over one product."""

    MISSING = "missing"
    """The log has it, the view does not."""
    STALE = "stale"
    """The view is at an older event."""
    RESURRECTED = "resurrected"
    """It was deleted, and is in the view."""
    ORPHANED = "orphaned"
    """No event explains what the view holds."""
    INCOMPLETE = "incomplete"
    """Not all of its pictures are encoded, and nobody has said why."""
    EXPLAINED = "explained"
    """Not all of its pictures are encoded; a dead letter says why. No difference."""
    PENDING = "pending"
    """Its newest event is still on its way: not yet settled, parked or to be replayed. No difference."""
    AHEAD = "ahead"
    """The view is past all that the log still holds: a late lower version made compaction drop its event, or nothing of
    ours has written it. No difference, since only a person can tell; a rebuilt view would hold the other event."""


DIFFERENCES = (Kind.MISSING, Kind.STALE, Kind.RESURRECTED, Kind.ORPHANED, Kind.INCOMPLETE)


@dataclass(frozen=True)
class Winner:
    """The event of a product that the view must be at."""

    version: int
    offset: int
    partition: int
    deleted: bool
    wanted: bytes = b""
    """The marks of its pictures, one after the other."""

    @property
    def place(self) -> tuple[int, int]:
        """(version, offset): the order of changes."""
        return self.version, self.offset


@dataclass(frozen=True)
class Facts:
    """What may excuse a difference."""

    settled: bool = True
    """The live lane is past the winner."""
    waiting: bool = False
    """The winner waits on another lane."""
    letter: bool = False
    """There is a dead letter of the winner."""
    newer: bool = False
    """The point's event is past what was read of the log."""
    refused: bool = False
    """The point's event was refused when it came, and let in later (redriven, or read when its time had come)."""


def marks(images: Sequence[Image]) -> bytes:
    """8 bytes for each picture: enough to tell whether it is encoded, without keeping its URL."""
    return b"".join(_mark(image.digest or image.url) for image in images)


def unencoded(wanted: bytes, encoded: Sequence[EncodedImage]) -> int:
    """How many of the wanted pictures have no vector; as in `indexer.decide.row_of`, a digest decides if given."""
    there = {_mark(text) for image in encoded for text in (image.url, image.digest)}
    return sum(wanted[start : start + _MARK] not in there for start in range(0, len(wanted), _MARK))


def compare(winner: Winner | None, seen: Seen | None) -> Kind | None:
    """How what the log says and what the view holds differ; None: they don't.

    Args:
        winner: None if no event of the product is on the topic.
        seen: None if there is no point; one that is not its product's own has no winner.
    """
    if winner is None:
        return None if seen is None or seen.deleted else Kind.ORPHANED
    if seen is None:
        return None if winner.deleted else Kind.MISSING
    if seen.place > winner.place:
        return Kind.AHEAD
    if winner.deleted and not seen.deleted:
        return Kind.RESURRECTED
    if seen.place < winner.place or winner.deleted != seen.deleted:
        return Kind.STALE
    return Kind.INCOMPLETE if unencoded(winner.wanted, seen.encoded) else None


def excuse(kind: Kind, facts: Facts) -> Kind | None:
    """What a difference comes to in the light of the facts."""
    if kind is Kind.ORPHANED:
        return None if facts.refused else kind
    if kind is Kind.AHEAD:
        return None if facts.newer or facts.refused else kind
    if facts.waiting or not facts.settled:
        return Kind.PENDING
    return Kind.EXPLAINED if kind is Kind.INCOMPLETE and facts.letter else kind


def _mark(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_MARK).digest()
