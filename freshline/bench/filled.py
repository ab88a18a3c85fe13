"""A view that holds products already, as a shop's does."""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

from qdrant_client import QdrantClient

from freshline.bench.clustered import Clustered, clustered
from freshline.bench.telling import Say, Seen
from freshline.bench.waiting import await_green
from indexer.store import Store
from indexer.wire import Whole, upsert_request

BATCH = 500


class Filling(NamedTuple):
    """How long it took, in seconds."""

    written: float
    built: float


def fill(store: Store, view: str, data: Clustered, say: Say, seen: Seen) -> Filling:
    """Write all products and wait for their graph; `seen` is told how many were written.

    Raises:
        TooLate: the graph was not built.
    """
    say(f"writing {data.products:,} products")
    began = time.perf_counter()
    for start in range(0, data.products, BATCH):
        numbers = range(start, min(start + BATCH, data.products))
        store.run_sync(partial(_write, view=view, points=clustered(data, numbers)))
        seen(numbers.stop)
    written = time.perf_counter()
    say("building the index")
    store.run_sync(partial(await_green, view=view))
    return Filling(written - began, time.perf_counter() - written)


def _write(client: QdrantClient, view: str, points: list[Whole]) -> None:
    client.grpc_points.Upsert(upsert_request(view, points))
