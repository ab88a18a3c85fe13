"""`freshline bench write`: what the guard, the read before a write and the read after it cost, beside plain upserts."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from qdrant_client import QdrantClient, models

from freshline.bench.changes import Catalogue, Job
from freshline.bench.telling import Say, Seen
from freshline.bench.write_report import WriteCase, WriteReport
from indexer.collections import ensure_view, view_name
from indexer.compose import Encoded, compose
from indexer.decide import decide
from indexer.points import DECIDE_FIELDS, RANK_FIELDS, read_stored
from indexer.wire import named_vectors, upsert, upsert_request
from indexer.writer import Written, guard, write
from schemas.events import Image, VersionScheme

BATCH = 256
WARM_UP = ["client", "guarded"]
SCHEMES: tuple[VersionScheme, ...] = ("timestamp", "counter")


@dataclass(frozen=True)
class WritePlan:
    """How much is written, for each of two version schemes and each dimension."""

    dimensions: tuple[int, ...]
    products: int = 2048
    rounds: int = 9
    """In each, every way of writing writes every product once, in another order of the ways."""

    @property
    def passes(self) -> int:
        """Over all products, those that warm up included."""
        return 2 * len(self.dimensions) * (self.rounds * len(WAYS) + len(WARM_UP))


@dataclass(frozen=True)
class Target:
    """A view, and the client that it is written by."""

    client: QdrantClient
    view: str


def run(client: QdrantClient, plan: WritePlan, say: Say, seen: Seen) -> WriteReport:
    """Measure everything; `seen` is told how many passes over the products are done."""
    passes = itertools.count(1)
    cases = []
    for dimension in plan.dimensions:
        for scheme in SCHEMES:
            say(f"{scheme}s as versions, {dimension}-d")
            cases.append(_case(client, plan, scheme, dimension, lambda: seen(next(passes))))
    return WriteReport(plan.products, BATCH, plan.rounds, cases)


def _case(
    client: QdrantClient, plan: WritePlan, scheme: VersionScheme, dimension: int, passed: Callable[[], None]
) -> WriteCase:
    target = Target(client, view_name(scheme, f"{dimension:012x}", 1))
    ensure_view(client, target.view, dimension, [])
    catalogue = Catalogue(plan.products, scheme, dimension)
    chance = random.Random(dimension)  # noqa: S311 (an order)
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for name in WARM_UP + [name for _ in range(plan.rounds) for name in chance.sample(list(WAYS), len(WAYS))]:
        rates[name].append(_pass(target, catalogue, WAYS[name]))
        passed()
    client.delete_collection(target.view)
    return WriteCase(scheme, dimension, {name: measured[-plan.rounds :] for name, measured in rates.items()})


def _pass(target: Target, catalogue: Catalogue, way: Way) -> float:
    """Change every product once; points a second."""
    seconds = 0.0
    for start in range(0, catalogue.products, BATCH):
        job = catalogue.changed(range(start, min(start + BATCH, catalogue.products)))
        send = way(target, job)
        began = time.perf_counter()
        send()
        seconds += time.perf_counter() - began
        _check(target, job)
    return catalogue.products / seconds


def _check(target: Target, job: Job) -> None:
    """Every point really is what was written."""
    ids = [change.event.product_id for change in job.changes]
    held = read_stored(target.client, target.view, ids, fields=RANK_FIELDS)
    assert [held[each].rank for each in ids] == [point.payload.rank for point in job.points]


# Ways of writing: each prepares what is not measured, and returns what is.
Way = Callable[[Target, Job], Callable[[], None]]


def _client(target: Target, job: Job) -> Callable[[], None]:
    """By the Qdrant client's own means, which are handed lists of Python floats, not arrays."""
    ready: list[dict[str, Any]] = [
        {
            "id": point.id,
            "payload": point.payload.model_dump(mode="json"),
            "vector": named_vectors(point.vectors),
        }
        for point in job.points
    ]

    def send() -> None:
        target.client.upsert(target.view, [models.PointStruct(**fields) for fields in ready], wait=True)

    return send


def _unguarded(target: Target, job: Job) -> Callable[[], None]:
    """As messages, like ours, but without a guard."""

    def send() -> None:
        request = upsert_request(target.view, [(point.payload, point.vectors) for point in job.points])
        target.client.grpc_points.Upsert(request)

    return send


def _guarded(target: Target, job: Job) -> Callable[[], None]:
    """The guarded request alone."""

    def send() -> None:
        points = [(point.payload, point.vectors) for point in job.points]
        upsert(target.client, target.view, points, guard(job.points))

    return send


def _whole(*, fresh: bool) -> Way:
    """All that the worker does at Qdrant for a batch: the read that decides, the guarded write, the read-back."""

    def way(target: Target, job: Job) -> Callable[[], None]:
        encoded: Sequence[dict[Image, Encoded]] = job.fresh if fresh else [{}] * len(job.changes)

        def send() -> None:
            ids = [change.event.product_id for change in job.changes]
            stored = read_stored(target.client, target.view, ids, fields=DECIDE_FIELDS, vectors=True)
            plans = [decide(change, stored.get(change.event.product_id)) for change in job.changes]
            now = datetime.now(UTC)
            points = [compose(plan, pictures, [], now) for plan, pictures in zip(plans, encoded, strict=True)]
            assert set(write(target.client, target.view, points)) == {Written.STORED}

        return send

    return way


WAYS: dict[str, Way] = {
    "client": _client,
    "unguarded": _unguarded,
    "guarded": _guarded,
    "whole_new_pictures": _whole(fresh=True),
    "whole_kept_pictures": _whole(fresh=False),
}
