"""What became of each replayed event: a pure judgement, by the rules that the worker decides by, and the counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from indexer.decide import DROPS, Action, Change, decide
from indexer.points import Stored
from schemas.payloads import MAX_ENCODED


@dataclass(frozen=True)
class Look:
    """What a view held for a product at one moment."""

    stored: Stored | None = None
    indexed_at: datetime | None = None
    """None where there is nothing, or nobody asked: only a forced event makes a difference by it."""


@dataclass(frozen=True)
class Expected:
    """An event on its way: where it stands in `catalog.events`, and what its view held before it was sent."""

    place: tuple[int, int]
    """(partition, offset)."""
    change: Change | None
    """None if it is no valid event."""
    before: Look = Look()


class Counts(BaseModel):
    """Events by what became of them."""

    model_config = ConfigDict(frozen=True)

    indexed: int = 0
    """The view is at the event now, and was not before; or it was encoded again, where that was asked for."""
    already_there: int = 0
    """The view held it, or something newer, before it was sent."""
    overtaken: int = 0
    """Something newer of the product came in meanwhile."""
    parked: int = 0
    """An image host is ill: the retry lane goes on with it."""
    dead_letters: int = 0
    failed: int = 0
    """Worked off, and neither in the view nor accounted for."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.model_dump().values())

    @property
    def ok(self) -> bool:
        """Whether the view holds every event, or something newer."""
        return not (self.parked or self.dead_letters or self.failed)

    def plus(self, *outcomes: str) -> Counts:
        """With these counted too."""
        figures = self.model_dump()
        for outcome in outcomes:
            figures[outcome] += 1
        return Counts(**figures)


def needs(change: Change, before: Look) -> Action:
    """What a worker would do about it now."""
    return decide(change, before.stored).action


def outcome(expected: Expected, after: Look, *, letter: bool, parked: bool) -> str:
    """What became of an event once the replay lane has worked it off; a field of `Counts`.

    Args:
        expected: the event.
        after: what the view holds now.
        letter: a dead letter of it was written since it was sent.
        parked: it was parked since.
    """
    if letter:
        return "dead_letters"
    change = expected.change
    if change is not None and after.stored is not None:
        if needs(change, expected.before) in DROPS:
            return "already_there"
        if _place(after.stored) > change.place:
            return "overtaken"
        if _is_done(change, after.stored) and _has_moved(expected, after):
            return "indexed"
    return "parked" if parked else "failed"


def _is_done(change: Change, stored: Stored) -> bool:
    return decide(Change(change.event, change.offset), stored).action in DROPS


def _has_moved(expected: Expected, after: Look) -> bool:
    """At the same place as before, only a new time tells that it was written again."""
    change, before = expected.change, expected.before
    if change is None or before.stored is None or not change.force or _place(before.stored) != change.place:
        return True
    return after.indexed_at is not None and before.indexed_at is not None and after.indexed_at > before.indexed_at


def _place(stored: Stored) -> tuple[int, int]:
    return stored.version, stored.revision // MAX_ENCODED
