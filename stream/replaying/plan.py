"""What a replay will do: how many events, and for how long."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from indexer.decide import Action
from schemas.events import VersionScheme, microseconds
from stream.reconcile.reading import Spans, TopicReader, size
from stream.replaying.feeds import BATCH, Outgoing, chosen
from stream.replaying.selection import Selection, spans
from stream.replaying.tally import Look, needs

PICTURES_PER_SECOND = 300.0
EVENTS_PER_SECOND = 2500.0
"""Of one worker on a core: `freshline bench pipeline` on two shared cores. An estimate needs no more."""

Looks = Callable[[Sequence[str]], Mapping[str, Look]]


@dataclass(frozen=True)
class Plan:
    """What there is to do."""

    events: int
    exact: bool
    """Whether all were looked at; if not, compaction may have left fewer."""
    pictures: float
    """To be encoded, for each event; as in a sample of the first ones."""

    def seconds(self, workers: int, per_second: float | None) -> float:
        """How long it will take, roughly."""
        work = self.events * (1 / EVENTS_PER_SECOND + self.pictures / PICTURES_PER_SECOND) / max(1, workers)
        return work if per_second is None else max(work, self.events / per_second)

    def figures(self, workers: int, per_second: float | None) -> dict[str, Any]:
        """For JSON."""
        return {
            "events": self.events,
            "exact": self.exact,
            "pictures_to_encode": round(self.events * self.pictures),
            "workers": workers,
            "estimated_seconds": round(self.seconds(workers, per_second), 1),
        }


def resolve(selection: Selection, reader: TopicReader, topic: str) -> dict[int, tuple[int, int]]:
    """Where a selection's events are, as the topic is now.

    Raises:
        SelectionError: it names a partition that there isn't.
    """
    since, until = (
        reader.first_since(topic, microseconds(moment) // 1000) if moment else None
        for moment in (selection.since, selection.until)
    )
    return spans(selection, reader.bounds(topic), since, until)


def plan_log(
    selection: Selection,
    where: Spans,
    reader: TopicReader,
    *,
    topic: str,
    scheme: VersionScheme,
    look: Looks,
    scanned: Callable[[int, int], None] = lambda *_: None,
) -> Plan:
    """Count a selection's events: by offsets where that does, else by reading all of them.

    Args:
        selection: what is meant.
        where: as `resolve` has it.
        reader: of the topic; one reading at a time.
        topic: `catalog.events`.
        scheme: of versions.
        look: at what the view holds.
        scanned: told how many offsets are read, and of how many.
    """
    total, taken = size(where), 0
    sample: list[Outgoing] = []
    with contextlib.closing(reader.read(topic, where)) as messages:
        for read, (_, event) in enumerate(chosen(messages, selection, scheme), 1):
            taken += event is not None
            if event is not None and len(sample) < BATCH:
                sample.append(event)
            if not selection.filters and len(sample) == BATCH:
                break
            if read % 1000 == 0:
                scanned(read, total)
    return Plan(taken if selection.filters else total, selection.filters, pictures(sample, look))


def plan_list(events: int, first: Iterable[Outgoing], look: Looks) -> Plan:
    """Of events that are counted already; `first` are some of them."""
    return Plan(events, exact=True, pictures=pictures(list(islice(first, BATCH)), look))


def pictures(sample: Sequence[Outgoing], look: Looks) -> float:
    """To be encoded for each of these events."""
    changes = [each.change for each in sample if each.change is not None]
    held = look([change.event.product_id for change in changes])
    wanted = 0
    for change in changes:
        action = needs(change, held[change.event.product_id])
        wanted += len(change.event.images) if action is Action.ENCODE else 0
    return wanted / len(sample) if sample else 0.0
