"""From the topics into the ledger: who wins, what waits elsewhere, what was given up on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from confluent_kafka import Message

from schemas.canary import CANARY
from schemas.events import InvalidEvent, VersionScheme, read_event
from schemas.headers import VIEW, InvalidHeader, Source, text
from schemas.topics import Topics
from stream.reconcile.compare import Winner, marks
from stream.reconcile.ledger import Ledger, Place
from stream.reconcile.reading import Spans, TopicReader

T = TypeVar("T")
_BATCH = 2000
_LAST_MS = 253_402_300_799_000  # datetime ends with the year 9999

Advance = Callable[[int], None]
"""Is told how many more are done."""


@dataclass(frozen=True)
class Snapshot:
    """What is read of each topic, and how far the live lane was."""

    settled: Mapping[int, int]
    events: Spans
    lanes: Mapping[str, Spans]
    """By topic, what its group may not yet have settled."""
    letters: Spans

    @property
    def count(self) -> int:
        """How many offsets there are to read, compacted ones included."""
        return sum(
            end - start for spans in (self.events, self.letters, *self.lanes.values()) for start, end in spans.values()
        )


def take_snapshot(reader: TopicReader, topics: Topics, groups: Mapping[str, str]) -> Snapshot:
    """How far each lane is first, and then where each topic ends.

    What a lane has settled is durable: in the view, on another topic, or a dead letter. Since all ends are asked
    after all commits, whatever was settled by then is below them.

    Args:
        reader: of the topics.
        topics: their names.
        groups: by lane, the view's consumer group.
    """
    lanes = {"retry": topics.retry, "replay": topics.replay}
    settled = reader.committed(groups["live"], topics.events)
    done = {lane: reader.committed(groups[lane], topic) for lane, topic in lanes.items()}
    waiting = {}
    for lane, topic in lanes.items():
        bounds = reader.bounds(topic).items()
        waiting[topic] = {number: (max(low, done[lane].get(number, 0)), end) for number, (low, end) in bounds}
    return Snapshot(settled, reader.bounds(topics.events), waiting, reader.bounds(topics.dead_letters))


def read_log(messages: Iterable[Message], ledger: Ledger, scheme: VersionScheme) -> tuple[int, int]:
    """Find the winners among these events; the canary's are nobody's concern.

    Returns:
        How many events there are, and how many of them were refused.
    """
    count = refused = 0
    for batch in _batches(message for message in messages if message.key() != CANARY.encode()):
        entries = [_read(message, scheme) for message in batch]
        bad = [(key, entry) for key, entry in entries if not isinstance(entry, Winner)]
        ledger.win((key, entry) for key, entry in entries if isinstance(entry, Winner))
        ledger.refuse(bad)
        count, refused = count + len(entries), refused + len(bad)
    return count, refused


def read_waiting(messages: Iterable[Message], ledger: Ledger, view: str) -> None:
    """Note the events that a lane still has before it for this view."""
    for batch in _batches(messages):
        ledger.wait(place for message in batch if (place := source_of(message, view)))


def read_letters(messages: Iterable[Message], ledger: Ledger, view: str, topic: str) -> None:
    """Note the dead letters that this view's workers wrote of events of `topic`."""
    for message in messages:
        place = _addressee(message.key() or b"", (view, topic))
        if place is not None:
            (ledger.add_letter if message.value() else ledger.drop_letter)(place)


def counted(messages: Iterable[Message], advance: Advance) -> Iterator[Message]:
    """The same, told to `advance` a batch at a time."""
    for batch in _batches(messages):
        yield from batch
        advance(len(batch))


def _read(message: Message, scheme: VersionScheme) -> tuple[bytes, Winner | int]:
    """The event's key, and its place in the order; or its offset if it was not valid when it was appended."""
    key, offset = message.key() or b"", message.offset() or 0
    timestamp_ms = min(max(0, message.timestamp()[1]), _LAST_MS)
    try:
        event = read_event(key, message.value(), timestamp_ms, scheme, datetime.fromtimestamp(timestamp_ms / 1000, UTC))
    except InvalidEvent:
        return key, offset
    return key, Winner(event.version, offset, message.partition() or 0, event.deleted, marks(event.images))


def source_of(message: Message, view: str) -> Place | None:
    """Where a parked or replayed event stands in `catalog.events`; None if it is for another view, or doesn't say."""
    headers: dict[str, Any] = dict(message.headers() or ())
    if text(headers, VIEW) not in (None, view):
        return None
    try:
        source = Source.read(headers)
    except InvalidHeader:
        return None
    return source.partition, source.offset


def _addressee(key: bytes, about: tuple[str, str]) -> Place | None:
    """The place in a dead letter's key: see `DeadLetter.record_key`."""
    view, topic, *place = key.decode(errors="replace").split("/")
    if (view, topic) != about or len(place) != 2 or not all(each.isdigit() for each in place):
        return None
    return int(place[0]), int(place[1])


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while batch := list(islice(left, _BATCH)):
        yield batch
