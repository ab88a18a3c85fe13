"""`freshline bench replay`: how fast a topic of payload-only events is replayed, beside plain upserts of its points."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from qdrant_client import QdrantClient, models

from encoders.bundle import load_bundle
from encoders.session import available_cores
from freshline.bench.installation import install, settings_of
from freshline.bench.meters import resident_bytes, steady_rate
from freshline.bench.pipeline import UPSERT_ROUNDS, overwrite
from freshline.bench.replay_report import ReplayReport
from freshline.bench.telling import Say, Seen
from freshline.bench.together import RunningWorker, WorkerEnded, await_members, worker
from freshline.parts import opened_store
from indexer.compose import Encoded, compose
from indexer.decide import Change, decide
from indexer.store import Store
from indexer.wire import upsert_request
from infra.local.stack import LocalStack
from schemas.events import Event, Image, Product
from stream.publisher import Publisher, PublisherSettings

MOST_PRODUCTS = 100_000
"""More events come in rounds: a product must not come again while it is in flight, or it would be superseded."""
WRITE_BATCH = 500
PERIOD_SECONDS = 0.25


@dataclass(frozen=True)
class ReplayPlan:
    """How much is replayed, and by how many."""

    events: int = 1_000_000
    workers: int = 1


@dataclass(frozen=True)
class _Sample:
    at: float
    events: int
    command_bytes: int
    workers_bytes: int


class ReplayBench:
    """One run on a local stack that is up."""

    def __init__(self, plan: ReplayPlan, stack: LocalStack, folder: Path, say: Say) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        self._products = min(plan.events, MOST_PRODUCTS)
        # No live worker is there, so the live lane is behind for good: nobody is to be yielded to.
        own = {"TOPIC_PREFIX": "replayed.", "ALIAS": "replayed", "LOG_LEVEL": "warning", "YIELD_SECONDS": "0"}
        self._env = stack.env() | {f"FRESHLINE_{key}": value for key, value in own.items()}
        self._settings = settings_of(self._env)

    def run(self, seen: Seen) -> ReplayReport:
        """Measure; `seen` is told how many events the workers have settled."""
        settings = self._settings
        self._say("writing points, publishing events")
        view = install(settings)
        with opened_store(settings) as store:
            self._fill(store, view)
            self._publish()
            self._say("plain upserts")
            hot = median(store.run_sync(lambda client: overwrite(client, view)) for _ in range(UPSERT_ROUNDS))
            upserts = store.run_sync(lambda client: self._overwrite_all(client, view))
        self._say("the replay")
        samples, report = self._replay(view, seen)
        return ReplayReport(
            machine=f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}",
            workers=self._plan.workers,
            events=self._plan.events,
            per_second=steady_rate([each.events for each in samples], [each.at for each in samples]),
            upserts_per_second=upserts,
            hot_upserts_per_second=hot,
            counts=report["counts"],
            command_bytes=_memory(samples, self._plan.events, lambda sample: sample.command_bytes),
            workers_bytes=_memory(samples, self._plan.events, lambda sample: sample.workers_bytes),
        )

    def _fill(self, store: Store, view: str) -> None:
        """The products' points, with vectors, as events before those of the topic left them."""
        dimension = load_bundle(self._settings.bundle_path).manifest.dimension
        chance = np.random.default_rng(0)
        for start in range(0, self._products, WRITE_BATCH):
            numbers = range(start, min(start + WRITE_BATCH, self._products))
            rows = chance.normal(size=(len(numbers), dimension)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            points = [_point(_event(number, 0), row) for number, row in zip(numbers, rows, strict=True)]
            store.run_sync(lambda client, points=points: client.grpc_points.Upsert(upsert_request(view, points)))  # type: ignore[misc]

    def _overwrite_all(self, client: QdrantClient, view: str) -> float:
        """Write points again as they are, a page after the other, as often as the replay will; how many a second.

        As many, since what Qdrant does afterwards (graphs, segments) is as much a part of a write as the write itself,
        and comes later. From the first tenth to the ninth, as the replay's; the reading in between is not counted.
        """
        offset, seconds = None, [0.0]
        many = [0]
        while many[-1] < self._plan.events:
            found, offset = client.scroll(view, limit=WRITE_BATCH, offset=offset, with_vectors=True)
            written = [models.PointStruct(id=each.id, payload=each.payload, vector=each.vector) for each in found]
            began = time.perf_counter()
            client.upsert(view, written, wait=True)
            seconds.append(seconds[-1] + time.perf_counter() - began)
            many.append(many[-1] + len(written))
        return steady_rate(many, seconds)

    def _publish(self) -> None:
        with Publisher(PublisherSettings(self._settings.kafka(), self._settings.topics)) as publisher:
            for count in range(self._plan.events):
                publisher.publish(_event(count % self._products, 1 + count // self._products))

    def _replay(self, view: str, seen: Seen) -> tuple[list[_Sample], dict[str, Any]]:
        with ExitStack() as stack:
            logs = [self._folder / f"replay-{number}.log" for number in range(self._plan.workers)]
            running = [stack.enter_context(worker(self._env, log, lane="replay")) for log in logs]
            await_members(self._settings.kafka(), self._settings.group(view, "replay"), running)
            command = [sys.executable, "-m", "freshline", "replay", "--all", "--json"]
            process = subprocess.Popen(command, env=os.environ | self._env, stdout=subprocess.PIPE, text=True)  # noqa: S603
            stack.callback(process.kill)
            samples = list(self._watch(process, running, seen))
            output, _ = process.communicate()
        if process.returncode != 0:
            raise WorkerEnded(f"the replay ended with {process.returncode}: {output}")
        return samples, json.loads(output)

    def _watch(self, process: subprocess.Popen[str], running: Sequence[RunningWorker], seen: Seen) -> Iterator[_Sample]:
        while process.poll() is None:
            for each in running:
                each.check()
            events = sum(each.settled().total() for each in running)
            seen(events)
            try:
                own = resident_bytes(process.pid)
            except psutil.Error:  # it has just ended
                return
            if own == 0:  # so it has, and nobody has taken note yet
                return
            yield _Sample(time.perf_counter(), events, own, sum(resident_bytes(each.process.pid) for each in running))
            time.sleep(PERIOD_SECONDS)


def _event(number: int, turn: int) -> Event:
    """The product's change of this turn: another price, the same picture."""
    product = Product(
        title=f"Striped teal mug {number}",
        category="mug",
        brand="Acme",
        price=10 + turn,
        currency="EUR",
        attributes={"color": "teal", "size": number % 50},
        images=[Image(url=f"https://images.example/{number}.jpg")],
    )
    name, now = f"product-{number}", datetime.now(UTC)
    return Event(event_id=f"{name}-{turn}", type="updated", product_id=name, occurred_at=now, product=product)


def _point(event: Event, row: np.ndarray) -> tuple[Any, list[np.ndarray]]:
    encoded = {event.images[0]: Encoded(f"sha256:{0:064x}", row)}
    return compose(decide(Change(event, 0), None), encoded, [], event.occurred_at).payload, [row]


def _after(samples: Sequence[_Sample], events: float) -> int:
    """The index of the first sample with so many events, or of the last."""
    return next((index for index, sample in enumerate(samples) if sample.events >= events), len(samples) - 1)


def _memory(samples: Sequence[_Sample], events: int, of: Callable[[_Sample], int]) -> tuple[int, int, int]:
    return of(samples[_after(samples, 0.2 * events)]), of(samples[-1]), max(map(of, samples))
