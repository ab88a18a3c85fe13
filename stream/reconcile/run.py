"""Comparing a view with the event topic, while both go on.

The log is read up to where it ended at the start, the view is read after that, and what looks different is looked at
again. No traffic makes a false alarm:

- *Not there yet.* How far the live lane has settled is read first; a winner at or past that is pending. What was
  settled is durable: in the view, or a dead letter, or parked or diverted. Then it is pending too, since all lanes'
  commits are read before the ends of their topics, so that a record of it is among those that are read.
- *Newer than the log that was read.* A point past the winner, whose event is past the end, is newer and fine. A new
  product's point has no winner: the log is read on, after the view, before anything is called an orphan.
- *Changing just now.* A scroll may meet a point in the middle of a write, or not at all: every suspect is read again,
  by its id, with the winners as they are by then; an orphan must not have changed since.
- *Swept in the meantime.* A deleted product without a point is fine.
- *Refused when it came, and let in later* (redriven, or read when its time had come): it is noted as refused.
- *The canary*: its events and its point are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from indexer.scan import Seen, read_page, read_seen
from indexer.store import Store
from schemas.canary import CANARY
from schemas.events import VersionScheme
from schemas.payloads import point_id
from schemas.topics import Topics
from stream.kafka import KafkaSettings
from stream.reconcile.compare import DIFFERENCES, Facts, Winner, compare, excuse
from stream.reconcile.gather import Snapshot, counted, read_letters, read_log, read_waiting, take_snapshot
from stream.reconcile.ledger import Difference, Ledger, Suspect
from stream.reconcile.reading import TopicReader, size
from stream.reconcile.report import Report, example

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""What is being done, how many more of it are done, and how many there are in all."""


@dataclass(frozen=True)
class Scope:
    """What is compared with what."""

    kafka: KafkaSettings
    topics: Topics
    view: str
    groups: Mapping[str, str] = field(default_factory=dict)
    """By lane, the view's consumer group."""
    versions: VersionScheme = "timestamp"
    page: int = 1000
    examples: int = 10
    """Of each kind."""


class Reconciliation:
    """One comparison; the ledger keeps what it found for a repair.

    Raises, from `run`:
        ReadingError, KafkaException: of the topics.
        Any error of the Qdrant client.
    """

    def __init__(
        self, scope: Scope, store: Store, reader: TopicReader, ledger: Ledger, progress: Progress = lambda *_: None
    ) -> None:
        self._scope = scope
        self._store = store
        self._reader = reader
        self._ledger = ledger
        self._progress = progress
        self._report = Report(scope.view)

    def run(self) -> Report:
        """Compare; only what differs at the second look counts as a difference."""
        topics, report = self._scope.topics, self._report
        self._snapshot = take_snapshot(self._reader, topics, self._scope.groups)
        self._ends = {number: end for number, (_, end) in self._snapshot.events.items()}
        self._read_topics(self._snapshot)
        report.products = self._ledger.count_winners()
        self._read_view()
        self._find_missing()
        self._read_on()
        self._look_again()
        return report

    def _read_topics(self, snapshot: Snapshot) -> None:
        topics, view = self._scope.topics, self._scope.view
        advance = self._advance("reading the topics", snapshot.count)
        for topic, spans in snapshot.lanes.items():
            read_waiting(counted(self._reader.read(topic, spans), advance), self._ledger, view)
        letters = self._reader.read(topics.dead_letters, snapshot.letters)
        read_letters(counted(letters, advance), self._ledger, view, topics.events)
        events = counted(self._reader.read(topics.events, snapshot.events), advance)
        self._report.events, self._report.refused = read_log(events, self._ledger, self._scope.versions)

    def _read_view(self) -> None:
        view, page = self._scope.view, self._scope.page
        total = self._store.run_sync(lambda client: client.count(view, exact=False).count)
        advance = self._advance("reading the view", total)
        after: Any = None
        while True:
            seen, after = self._store.run_sync(partial(read_page, view=view, after=after, most=page))
            products = [each for each in seen if each.id != point_id(CANARY)]
            self._first_look(products)
            self._report.points += len(products)
            advance(len(seen))
            if after is None:
                return

    def _first_look(self, points: list[Seen]) -> None:
        own = [_key(seen) for seen in points if not seen.alien]
        winners = self._ledger.winners(own)
        self._ledger.mark_seen(own)
        for seen in points:
            self._judge(seen.id, None if seen.alien else winners.get(_key(seen)), seen, again=False)

    def _find_missing(self) -> None:
        for product, winner in self._ledger.unseen():
            self._judge(point_id(product.decode()), winner, None, again=False, product=product)

    def _read_on(self) -> None:
        """What came while the view was read: until now, so that it explains every point that was seen."""
        topic = self._scope.topics.events
        now = {number: end for number, (_, end) in self._reader.bounds(topic).items()}
        spans = {number: (self._ends.get(number, 0), end) for number, end in now.items()}
        advance = self._advance("reading on", size(spans))
        read_log(counted(self._reader.read(topic, spans), advance), self._ledger, self._scope.versions)
        self._ends = now

    def _look_again(self) -> None:
        view = self._scope.view
        advance = self._advance("looking again", self._ledger.count_suspects())
        for suspects in _pages(self._ledger.suspects(), self._scope.page):
            ids = [each.id for each in suspects]
            points = self._store.run_sync(partial(read_seen, view=view, ids=ids))
            winners = self._ledger.winners([each.product for each in suspects if each.product is not None])
            for each in suspects:
                seen = points.get(each.id)
                winner = winners.get(each.product) if each.product is not None else None
                if winner is not None or (seen and (seen.version, seen.revision) == (each.version, each.revision)):
                    self._judge(each.id, winner, seen, again=True, product=each.product)
            advance(len(suspects))

    def _judge(
        self, point: str, winner: Winner | None, seen: Seen | None, *, again: bool, product: bytes | None = None
    ) -> None:
        kind = compare(winner, seen)
        if kind is None or (kind := excuse(kind, self._facts(winner, seen))) is None:
            return
        if seen is not None and not seen.alien:
            product = _key(seen)
        if kind in DIFFERENCES and not again:
            rank = (seen.version, seen.revision) if seen else (None, None)
            self._ledger.suspect([Suspect(point, product, *rank)])
            return
        theirs = seen.product_id if seen else None
        self._count(Difference(kind, product.decode() if product is not None else theirs, winner, seen, point))

    def _facts(self, winner: Winner | None, seen: Seen | None) -> Facts:
        place = (winner.partition, winner.offset) if winner else None
        own = None if seen is None or seen.alien else seen
        return Facts(
            settled=place is None or place[1] < self._snapshot.settled.get(place[0], 0),
            waiting=place is not None and self._ledger.waits(place),
            letter=place is not None and self._ledger.has_letter(place),
            newer=own is not None and winner is not None and own.offset >= self._ends.get(winner.partition, 0),
            refused=own is not None and self._ledger.was_refused(_key(own), own.offset),
        )

    def _count(self, found: Difference) -> None:
        self._report.counts[found.kind] += 1
        if found.kind in DIFFERENCES:
            self._ledger.differ(found)
        examples = self._report.examples.setdefault(found.kind, [])
        if len(examples) < self._scope.examples:
            place = (found.winner.partition, found.winner.offset) if found.winner else None
            letter = place is not None and self._ledger.has_letter(place)
            examples.append(example(found, dead_letter=letter))

    def _advance(self, what: str, total: int) -> Callable[[int], None]:
        self._progress(what, 0, total)
        return lambda more: self._progress(what, more, total)


def _key(seen: Seen) -> bytes:
    return (seen.product_id or "").encode()


def _pages(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while page := list(islice(left, size)):
        yield page
