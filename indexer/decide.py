"""What an event means for its product, given what the view holds: the rules of the write protocol, and nothing else.

The same rules run as a model over random schedules in `tests/protocol_model.py`; change a rule there first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from indexer.points import Stored
from schemas.events import Event, Image
from schemas.payloads import MAX_ENCODED


class Action(StrEnum):
    """What is to be done."""

    STALE = "stale"
    OUT_OF_ORDER = "out_of_order"
    SUPERSEDED = "superseded"
    DELETE = "deleted"
    PAYLOAD = "payload_only"
    ENCODE = "indexed"


DROPS = frozenset({Action.STALE, Action.OUT_OF_ORDER, Action.SUPERSEDED})


@dataclass(frozen=True)
class Change:
    """An event with its place in the log."""

    event: Event
    offset: int
    """In `catalog.events`, whichever topic it was read from."""
    force: bool = False
    """Nothing counts as encoded already."""

    @property
    def place(self) -> tuple[int, int]:
        """(version, offset): the order of changes."""
        return self.event.version, self.offset


@dataclass(frozen=True)
class Plan:
    """The decision over one change."""

    action: Action
    change: Change
    stored: Stored | None = None
    to_encode: tuple[Image, ...] = ()


def decide(change: Change, stored: Stored | None) -> Plan:
    """What `change` asks for. What is to encode is the wanted images less the encoded ones."""
    if stored is None:
        return _plan(change, None)
    held = stored.version, stored.revision // MAX_ENCODED
    if held > change.place:
        late = change.event.version < stored.version and change.offset > held[1]
        return Plan(Action.OUT_OF_ORDER if late else Action.STALE, change, stored)
    plan = _plan(change, stored)
    if held == change.place and not plan.to_encode:
        return Plan(Action.STALE, change, stored)
    return plan


def _plan(change: Change, stored: Stored | None) -> Plan:
    if change.event.deleted:
        return Plan(Action.DELETE, change, stored)
    to_encode = tuple(image for image in change.event.images if change.force or row_of(image, stored) is None)
    return Plan(Action.ENCODE if to_encode else Action.PAYLOAD, change, stored, to_encode)


def row_of(image: Image, stored: Stored | None) -> int | None:
    """The row of the stored vectors that shows this very image, or None. A digest decides where the event has one."""
    for row, encoded in enumerate(stored.encoded if stored else ()):
        if encoded.digest == image.digest if image.digest else encoded.url == image.url:
            return row
    return None


def elect(changes: Sequence[Change]) -> tuple[int, list[Action]]:
    """Of several waiting changes of one product, the one to do, and what becomes of each other one.

    Returns:
        The winner's index, and for every change an action; the winner's own is meaningless.
    """
    winner = max(range(len(changes)), key=lambda index: (changes[index].place, changes[index].force, -index))
    best = changes[winner]
    late = [change.event.version < best.event.version and change.offset > best.offset for change in changes]
    return winner, [Action.OUT_OF_ORDER if is_late else Action.SUPERSEDED for is_late in late]
