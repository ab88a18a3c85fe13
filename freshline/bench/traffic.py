"""Steady traffic, and when each of its products can be found: seen from outside, by asking Qdrant."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from qdrant_client import QdrantClient

from freshline.bench.meters import steady_rate
from freshline.bench.workload import Workload
from indexer.store import Store
from schemas.payloads import point_id
from stream.publisher import Publisher

PERIOD_SECONDS = 0.05
MOST_OF_A_CORE, MOST_OF_AN_AGE = 0.1, 0.1
"""For asking: with a large backlog it asks more rarely, so as not to be the load itself, but often enough that no
freshness is seen more than so much too long."""
CHUNK = 1000
AHEAD = 2000
"""Products that wait while the capacity is measured: some seconds' work, so that no worker ever wants for any."""


class Sighting(NamedTuple):
    """A product's event, in seconds since the epoch."""

    occurred: float
    seen: float

    @property
    def freshness(self) -> float:
        """Seconds until it was seen."""
        return self.seen - self.occurred


def rate(sightings: Sequence[Sighting]) -> float:
    """How many were seen a second, look by look.

    Raises:
        BenchError: all of them in one look.
    """
    looks, many = np.unique([each.seen for each in sightings], return_counts=True)
    return steady_rate(np.cumsum(many).tolist(), looks.tolist())


class Traffic:
    """Events of new products, one after another, in one thread.

    Args:
        publisher: of the events.
        store: asked for the points.
        view: of the workers.
        workload: the products.
        first: the number of the first one.
    """

    def __init__(self, publisher: Publisher, store: Store, view: str, workload: Workload, first: int = 0) -> None:
        self._publisher = publisher
        self._store = store
        self._view = view
        self._workload = workload
        self._number = first
        self._waiting: dict[str, float] = {}
        self.sightings: list[Sighting] = []
        self.longest_gap = 0.0
        """From the start of one look to the end of the next: no freshness is more too long."""

    @property
    def waiting(self) -> int:
        """Products that were not seen yet."""
        return len(self._waiting)

    def oldest_age(self) -> float:
        """Seconds for which the oldest of them waits; 0 if there is none."""
        return time.time() - next(iter(self._waiting.values()), time.time())

    def run(self, per_second: float, go_on: Callable[[float], bool]) -> float:
        """Publish at this rate and look, as long as `go_on` (told the seconds so far) says so; how many a second."""
        began, first = time.monotonic(), self._number
        self._go(lambda: self._number - first < (time.monotonic() - began) * per_second, 1 / per_second, go_on)
        return (self._number - first) / (time.monotonic() - began)

    def saturate(self, products: int, check: Callable[[], None]) -> float:
        """The capacity: how many a second are found while there are always some that wait, until so many were found.

        `check` raises when that is not to be expected any more. None waits when this returns.
        """
        before = len(self.sightings)

        def go_on(_: float) -> bool:
            check()
            return len(self.sightings) - before < products

        self._go(lambda: self.waiting < min(AHEAD, products), PERIOD_SECONDS, go_on)
        found = self.sightings[before:]
        self.drain(check)
        return rate(found)

    def _go(self, is_due: Callable[[], bool], rest: float, go_on: Callable[[float], bool]) -> None:
        """Publish what is due, look, and rest for so many seconds at most."""
        looked = next_look = began = time.monotonic()

        def publish_due() -> None:
            while is_due():
                self._publish()

        while go_on(time.monotonic() - began):
            publish_due()
            time.sleep(max(0.0, min(next_look - time.monotonic(), rest)))
            if (now := time.monotonic()) >= next_look:
                self._look(publish_due)
                done = time.monotonic()
                self.longest_gap = max(self.longest_gap, done - looked)
                pause = min((done - now) / MOST_OF_A_CORE, self.oldest_age() * MOST_OF_AN_AGE)
                looked, next_look = now, now + max(PERIOD_SECONDS, pause)

    def drain(self, check: Callable[[], None]) -> None:
        """Look until every product was seen; `check` raises when that is not to be expected any more."""
        while self._waiting:
            check()
            self._look(lambda: None)
            time.sleep(PERIOD_SECONDS)

    def _publish(self) -> None:
        for event in self._workload.listed(range(self._number, self._number + 1)):
            self._publisher.publish(event)
            self._waiting[point_id(event.product_id)] = event.occurred_at.timestamp()
        self._number += 1

    def _look(self, between: Callable[[], None]) -> None:
        ids = list(self._waiting)
        for start in range(0, len(ids), CHUNK):
            found = self._store.run_sync(partial(_present, view=self._view, ids=ids[start : start + CHUNK]))
            now = time.time()
            self.sightings += [Sighting(self._waiting.pop(each), now) for each in found]
            between()


def _present(client: QdrantClient, view: str, ids: list[str]) -> list[str]:
    return [str(each.id) for each in client.retrieve(view, ids, with_payload=False, with_vectors=False)]
