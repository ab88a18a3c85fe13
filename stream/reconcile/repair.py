"""Mending what a reconciliation found: each difference's event goes through `catalog.replay` once more.

Safe to repeat, and beside live traffic: a replayed event never passes a newer one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

from confluent_kafka import Message

from indexer.scan import remove
from indexer.store import Store
from schemas.headers import Source
from stream.reconcile.ledger import Ledger
from stream.reconcile.reading import TopicReader, size
from stream.reconcile.run import Progress, Scope
from stream.resend import Resender


@dataclass(frozen=True)
class Repaired:
    """What a repair did."""

    resent: int
    """Events sent again; the replay lane's worker mends the view with them."""
    replaced: int
    """Events that compaction has removed since: a newer one is on its way."""
    removed: int
    """Points removed: orphans if that was asked for, and those that would have had their event taken for done."""
    changed: int
    """Points that were to be removed and have changed since they were seen."""


def repair(
    scope: Scope,
    store: Store,
    reader: TopicReader,
    ledger: Ledger,
    *,
    delete_orphans: bool = False,
    progress: Progress = lambda *_: None,
) -> Repaired:
    """Send every difference's event again, for this view alone.

    Args:
        scope: of the reconciliation.
        store: with the view.
        reader: of the topics.
        ledger: what the reconciliation found.
        delete_orphans: remove points that no event explains, unless they have changed since.
        progress: is told what is done.

    Raises:
        PublishError: the broker did not take all of them; what it took is safe, and the rest can be sent again.
        ReadingError, KafkaException: see `TopicReader.read`.
    """
    gone = clear(scope, store, ledger, delete_orphans=delete_orphans)
    resent = 0
    with Resender(scope.kafka, scope.topics) as resender:
        for message in differing(scope, reader, ledger, progress):
            source = Source(message.partition() or 0, message.offset() or 0, message.timestamp()[1])
            resender.send(message.key(), message.value(), source, view=scope.view)
            resent += 1
    return Repaired(resent, count(ledger) - resent, gone[True], gone[False])


def clear(scope: Scope, store: Store, ledger: Ledger, *, delete_orphans: bool = False) -> Counter[bool]:
    """Remove points that would have their event taken for done; how many are gone, and how many have changed since."""
    doomed = chain(ledger.blocking(), ledger.orphans() if delete_orphans else ())
    return Counter(store.run_sync(partial(remove, view=scope.view, seen=seen)) for seen in doomed)


def count(ledger: Ledger) -> int:
    """How many events are to be sent again."""
    return sum(1 for partition in ledger.spans() for _ in ledger.offsets(partition))


def differing(
    scope: Scope, reader: TopicReader, ledger: Ledger, progress: Progress = lambda *_: None
) -> Iterator[Message]:
    """The events to be sent again, as far as compaction has left them."""
    spans = ledger.spans()
    return _wanted(reader.read(scope.topics.events, spans), ledger, progress, size(spans))


def _wanted(messages: Iterator[Message], ledger: Ledger, progress: Progress, total: int) -> Iterator[Message]:
    """Those that the ledger asks for: both are in the order of their offsets within each partition."""
    left: dict[int, Iterator[int]] = {}
    following: dict[int, int | None] = {}
    for message in messages:
        partition, offset = message.partition() or 0, message.offset() or 0
        if partition not in left:
            left[partition] = ledger.offsets(partition)
            following[partition] = next(left[partition], None)
        wanted = following[partition]
        while wanted is not None and wanted < offset:
            wanted = next(left[partition], None)
        if wanted == offset:
            yield message
            wanted = next(left[partition], None)
        following[partition] = wanted
        progress("sending again", 1, total)
