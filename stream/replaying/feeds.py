"""Where replayed events come from: the topic itself, dead letters, or what a reconciliation found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Protocol

from confluent_kafka import Message

from indexer.decide import Change
from schemas.events import InvalidEvent, VersionScheme, read_event
from schemas.headers import FORCE, Source
from stream.letterbox import Filed
from stream.reconcile.reading import Spans
from stream.redrive import Redriver
from stream.replaying.cursor import Cursor
from stream.replaying.selection import Matcher, Selection
from stream.replaying.tally import Counts
from stream.resend import Resender

BATCH = 500
_QUIET_SECONDS = 2.0
"""After so long without an event, where it has come to is worth remembering."""


@dataclass(frozen=True)
class Outgoing:
    """An event to be sent again."""

    key: bytes | None
    value: bytes | None
    source: Source
    change: Change | None
    """None if it is no valid event: what is wrong with it is the worker's to say."""


@dataclass
class Batch:
    """Events, and where the reading has come to with them, by partition."""

    events: list[Outgoing] = field(default_factory=list)
    position: dict[int, int] = field(default_factory=dict)
    filed: list[Filed] = field(default_factory=list)
    """The events' letters."""


class Feed(Protocol):
    """Events in batches, and how they are sent."""

    def batches(self, size: int) -> Iterator[Batch]:
        """All of them, at most `size` in each."""

    def send(self, batch: Batch) -> None:
        """Return when `catalog.replay` has them durably."""

    def settled(self, position: Mapping[int, int], counts: Counts) -> None:
        """All that was read before these offsets is worked off; `counts` has what it came to."""


def outgoing(message: Message, scheme: VersionScheme, *, force: bool = False) -> Outgoing:
    """A record of `catalog.events`."""
    source = Source(message.partition() or 0, message.offset() or 0, message.timestamp()[1])
    key, value = message.key(), message.value()
    return Outgoing(key, value, source, _change(key, value, source, scheme, force=force))


def _change(
    key: bytes | None, value: bytes | None, source: Source, scheme: VersionScheme, *, force: bool
) -> Change | None:
    try:
        event = read_event(key, value, source.timestamp_ms, scheme, datetime.now(UTC))
    except InvalidEvent:
        return None
    return Change(event, source.offset, force=force)


def chosen(
    messages: Iterable[Message], selection: Selection, scheme: VersionScheme
) -> Iterator[tuple[Message, Outgoing | None]]:
    """Every record, with the event in it where the selection takes it."""
    matcher = Matcher(selection)
    for message in messages:
        event = outgoing(message, scheme, force=selection.force) if matcher.key(message.key()) else None
        taken = event is not None and matcher.event(event.change.event if event.change else None)
        yield message, event if taken else None


class LogFeed:
    """A selection of `catalog.events`, from a cursor on.

    Args:
        read: the records of these spans.
        selection: which of them are meant.
        scheme: of versions.
        cursor: joined; has the spans that are left.
        resender: to send by.
    """

    def __init__(
        self,
        read: Callable[[Spans], Iterator[Message]],
        selection: Selection,
        scheme: VersionScheme,
        cursor: Cursor,
        resender: Resender,
    ) -> None:
        self._read = read
        self._selection = selection
        self._scheme = scheme
        self._cursor = cursor
        self._resender = resender

    def batches(self, size: int) -> Iterator[Batch]:
        """From the cursor to the end; now and then an empty one, where few events are meant."""
        spans = dict(self._cursor.spans)
        batch, since = Batch(), time.monotonic()
        for message, event in chosen(self._read(spans), self._selection, self._scheme):
            batch.position[message.partition() or 0] = (message.offset() or 0) + 1
            batch.events += [event] if event else []
            quiet = not batch.events and time.monotonic() > since + _QUIET_SECONDS
            if len(batch.events) == size or quiet:
                yield batch
                batch, since = Batch(), time.monotonic()
        batch.position |= {number: end for number, (_, end) in spans.items()}
        yield batch

    def send(self, batch: Batch) -> None:
        """For the selection's view."""
        _send(self._resender, batch, self._selection.view, force=self._selection.force)

    def settled(self, position: Mapping[int, int], counts: Counts) -> None:
        """Move the cursor."""
        self._cursor.advance(position, counts)


class ListFeed:
    """Events that are found anew each time, so that nothing need be remembered."""

    def __init__(self, events: Iterable[Outgoing], resender: Resender, view: str | None, *, force: bool) -> None:
        self._events = iter(events)
        self._resender = resender
        self._view = view
        self._force = force

    def batches(self, size: int) -> Iterator[Batch]:
        """As they are found."""
        while events := list(islice(self._events, size)):
            yield Batch(events)

    def send(self, batch: Batch) -> None:
        """For the view."""
        _send(self._resender, batch, self._view, force=self._force)

    def settled(self, position: Mapping[int, int], counts: Counts) -> None:
        """Nothing to remember."""


class LetterFeed:
    """Events of dead letters. What is sent is marked in its letter, which is how another run knows."""

    def __init__(self, letters: Iterable[Filed], redriver: Redriver, scheme: VersionScheme) -> None:
        self._letters = iter(letters)
        self._redriver = redriver
        self._scheme = scheme

    def batches(self, size: int) -> Iterator[Batch]:
        """As the letters are read."""
        while filed := list(islice(self._letters, size)):
            yield Batch([self.event(each) for each in filed], filed=filed)

    def send(self, batch: Batch) -> None:
        """For the view that gave up on them, and mark the letters."""
        for _ in self._redriver.redrive(batch.filed):
            pass

    def settled(self, position: Mapping[int, int], counts: Counts) -> None:
        """The letters are marked already."""

    def event(self, filed: Filed) -> Outgoing:
        """The event of a letter."""
        letter = filed.letter
        source = Source(letter.partition, letter.offset, letter.timestamp_ms)
        force = any(name == FORCE for name, _ in letter.headers)
        change = _change(letter.key, letter.value, source, self._scheme, force=force)
        return Outgoing(letter.key, letter.value, source, change)


def _send(resender: Resender, batch: Batch, view: str | None, *, force: bool) -> None:
    for event in batch.events:
        resender.send(event.key, event.value, event.source, view=view, force=force)
    resender.flush()
