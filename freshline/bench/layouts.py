"""`freshline bench layouts`: ways to keep a product's pictures in Qdrant, by recall, time and size."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from encoders.session import available_cores
from freshline.bench.clustered import APART, Clustered
from freshline.bench.layouts_report import LayoutsReport, Ran
from freshline.bench.meters import resident_bytes
from freshline.bench.recall import EVERYTHING, Quiz
from freshline.bench.telling import Say, Seen
from freshline.bench.waiting import await_green
from freshline.bench.ways import WAYS, Way
from indexer.store import QdrantSettings, Store
from infra.local.stack import LocalStack

COLLECTION = "layout"
WRITE_BATCH = 500
WRITES_PER_SECOND, WRITTEN_AT_ONCE = 300, 30


@dataclass(frozen=True)
class LayoutsPlan:
    """What is compared, and on how much."""

    products: int = 100_000
    queries: int = 500
    dimension: int = 128
    apart: float = APART
    ways: Sequence[str] = tuple(WAYS)
    efs: Sequence[int] = (64, 128, 256)


class LayoutsBench:
    """One run on a local stack that is up; Qdrant is started anew for each way."""

    def __init__(self, plan: LayoutsPlan, stack: LocalStack, folder: Path, say: Say) -> None:
        self._plan, self._stack, self._folder, self._say = plan, stack, folder, say
        self._data = Clustered(plan.products, plan.dimension, plan.apart)

    def run(self, seen: Seen) -> LayoutsReport:
        """Measure; `seen` is told how many ways are done."""
        self._say("asking exactly")
        quiz = Quiz(self._data, self._plan.queries)
        rans = []
        for number, name in enumerate(self._plan.ways):
            rans.append(self._way(name, WAYS[name], quiz))
            seen(number + 1)
        return LayoutsReport(
            machine=f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}",
            products=self._plan.products,
            pictures=self._data.pictures,
            dimension=self._plan.dimension,
            queries=self._plan.queries,
            apart=self._plan.apart,
            rans=rans,
        )

    def _way(self, name: str, way: Way, quiz: Quiz) -> Ran:
        self._stack.kill("qdrant")
        self._stack.start("qdrant")
        with self._store() as store:
            client = store.run_sync(lambda client: client)
            way.create(client, COLLECTION, self._plan.dimension)
            self._say(f"{name}: writing")
            began = time.perf_counter()
            for start in range(0, self._plan.products, WRITE_BATCH):
                numbers = range(start, min(start + WRITE_BATCH, self._plan.products))
                client.upsert(COLLECTION, way.points(self._data, numbers), wait=True)
            written = time.perf_counter()
            self._say(f"{name}: building")
            await_green(client, COLLECTION)
            built = time.perf_counter()
            self._say(f"{name}: with and without filters")
            search = partial(way.search, client, COLLECTION)
            rows = quiz.ask(search, self._plan.efs)
            memory = resident_bytes(self._stack.qdrant.pid)
            self._say(f"{name}: beside writes")
            with self._writing(way):
                [beside] = quiz.ask(search, self._plan.efs[1:2], [EVERYTHING])
            client.delete_collection(COLLECTION)
        return Ran(name, written - began, built - began, memory, rows, beside)

    @contextmanager
    def _writing(self, way: Way) -> Iterator[None]:
        """Products are written again meanwhile, at a fixed rate."""
        stop = threading.Event()

        def write() -> None:
            chance, data = (
                np.random.default_rng(5),
                Clustered(self._plan.products, self._plan.dimension, self._plan.apart),
            )
            with self._store() as store:
                while not stop.wait(WRITTEN_AT_ONCE / WRITES_PER_SECOND):
                    first = int(chance.integers(self._plan.products - WRITTEN_AT_ONCE))
                    points = way.points(data, range(first, first + WRITTEN_AT_ONCE))
                    store.run_sync(lambda client, points=points: client.upsert(COLLECTION, points, wait=True))  # type: ignore[misc]

        thread = threading.Thread(target=write)
        thread.start()
        try:
            time.sleep(2)
            yield
        finally:
            stop.set()
            thread.join()

    @contextmanager
    def _store(self) -> Iterator[Store]:
        env = self._stack.env()
        store = Store(QdrantSettings(env["FRESHLINE_QDRANT_URL"], grpc_port=int(env["FRESHLINE_QDRANT_GRPC_PORT"])))
        try:
            yield store
        finally:
            store.close()
