"""`freshline bench search`: the highest rate that the search service answers in time, and what it does at twice it."""

from __future__ import annotations

import asyncio
import platform
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import environ
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from qdrant_client import QdrantClient, models
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

from encoders.bundle import load_bundle
from encoders.session import available_cores
from freshline.bench.beside import Writing, measure
from freshline.bench.clustered import Clustered, clustered
from freshline.bench.installation import install, settings_of
from freshline.bench.meters import resident_bytes
from freshline.bench.openloop import Window, drive, summed_up
from freshline.bench.recall import QUESTIONS, Asked, Quiz, Row
from freshline.bench.search_report import Kind, SearchReport
from freshline.bench.workload import draw
from freshline.parts import opened_store
from indexer.wire import upsert_request
from infra.local.stack import LocalStack
from search.filters import only_live
from search.query import Page, nearest
from search.settings import SearchSettings

DRAWN = 50
WRITE_BATCH = 500
START_SECONDS, INDEX_SECONDS, ANSWER_SECONDS = 60.0, 1800.0, 10.0
STEP, LOOKS = 1.5, 3
"""The rate is raised by this factor until it is too much, then what lies between is halved so often."""

EFS = (64, SearchSettings().hnsw_ef, 256, 512)
FILTERED = {"brand": "brand-3"}
BESIDE = 0.25
"""Of the highest rate, beside a worker that would take all of the machine."""

T = TypeVar("T")
Say = Callable[[str], None]
Seen = Callable[[float], None]


class SearchBenchError(RuntimeError):
    """It can't be measured; the message says why."""


@dataclass(frozen=True)
class SearchPlan:
    """How much is searched, and for how long at each rate."""

    products: int = 20_000
    seconds: float = 20
    first: float = 20
    """Searches a second to begin with."""
    limit: float = 0.2
    """Seconds that 99 of 100 answers may take; half of it where no picture is to be encoded."""
    queries: int = 300
    """Whose answers are compared with exact ones."""
    beside: bool = False
    """A worker writes as well, at the end."""


class SearchBench:
    """One run on a local stack that is up."""

    def __init__(self, plan: SearchPlan, stack: LocalStack, folder: Path, say: Say) -> None:
        self._plan, self._stack, self._folder, self._say = plan, stack, folder, say
        own = {"TOPIC_PREFIX": "searched.", "ALIAS": "searched", "IMAGE_ROOT": str(folder), "LOG_FORMAT": "json"}
        own["IMAGE_REUSE_BYTES"] = "0"  # the products share pictures, and each is to be encoded
        self._env = stack.env() | {f"FRESHLINE_{key}": value for key, value in own.items()}
        self._settings = settings_of(self._env)

    def run(self, seen: Seen) -> SearchReport:
        """Measure; `seen` is told how many products are in the view."""
        self._say(f"drawing {DRAWN} pictures")
        workload = draw(self._folder, DRAWN)
        pictures = [path.read_bytes() for path in workload.pictures]
        view = install(self._settings)
        dimension = load_bundle(self._settings.bundle_path).manifest.dimension
        with opened_store(self._settings) as store:
            self._say("writing products")
            data, began = Clustered(self._plan.products, dimension), time.perf_counter()
            for start in range(0, self._plan.products, WRITE_BATCH):
                points = clustered(data, range(start, min(start + WRITE_BATCH, self._plan.products)))
                store.run_sync(lambda client, points=points: client.grpc_points.Upsert(upsert_request(view, points)))  # type: ignore[misc]
                seen(start + len(points))
            written = time.perf_counter() - began
            self._say("building the index")
            began = time.perf_counter()
            store.run_sync(lambda client: await_green(client, view))
            built = time.perf_counter() - began
            asked = store.run_sync(lambda client: self._ask(client, view, data))
            memory = resident_bytes(self._stack.qdrant.pid)
            with self._service() as (url, process):
                by_picture = partial(_picture, url, pictures)
                kinds = [
                    asyncio.run(self._measure(url, process, name, send, limit))
                    for name, send, limit in (
                        ("like a product", partial(_similar, url, self._plan.products), self._plan.limit / 2),
                        ("by a picture", by_picture, self._plan.limit),
                    )
                ]
                highest = kinds[-1].steady.per_second
                filtered = self._at(
                    highest, "by a picture, of one brand", partial(_picture, url, pictures, filters=FILTERED)
                )
                beside = None
                if self._plan.beside:
                    writing = Writing(
                        self._env,
                        self._settings,
                        self._folder,
                        store,
                        view,
                        workload,
                        self._plan.products,
                        self._plan.seconds,
                    )
                    search = partial(self._at, highest * BESIDE, "by a picture", by_picture)
                    beside = measure(writing, search, self._say)
        return SearchReport(
            machine=f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}",
            products=self._plan.products,
            seconds=self._plan.seconds,
            written_seconds=written,
            built_seconds=built,
            memory_bytes=memory,
            asked=asked,
            kinds=kinds,
            filtered=filtered,
            beside=beside,
        )

    def _ask(self, client: QdrantClient, view: str, data: Clustered) -> list[Row]:
        """By the service's own query, one at a time, beside exact answers."""
        self._say("asking exactly")
        quiz = Quiz(data, self._plan.queries)

        def search(asked: Asked) -> list[str]:
            matching = only_live(list(asked.matching.must) if asked.matching else None)  # type: ignore[arg-type]
            hits = nearest(client, view, [asked.vector], page=Page(asked.limit), matching=matching, hnsw_ef=asked.ef)
            return [each.product_id for each in hits]

        rows = []
        for ef in EFS:
            for question in QUESTIONS:
                self._say(f"ef {ef}, {question.name}")
                rows.append(quiz.ask(search, question, ef))
        return rows

    @contextmanager
    def _service(self) -> Iterator[tuple[str, int]]:
        """Its URL and its process."""
        log = self._folder / "serve.log"
        command = [sys.executable, "-m", "freshline", "serve", "--port", "0"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=environ | self._env, stdout=output, stderr=output)  # noqa: S603 (our own)
        try:
            yield self._address(log, process), process.pid
        finally:
            process.terminate()
            process.wait()

    def _address(self, log: Path, process: subprocess.Popen[bytes]) -> str:
        """As soon as it answers; its port is in its log."""

        def ready() -> str | None:
            if process.poll() is not None:
                raise SearchBenchError(f"the service ended:\n{log.read_text()[-2000:]}")
            match = re.search(r"running on (http://[0-9.:]+)", log.read_text())
            return match[1] if match else None

        return _awaited(ready, START_SECONDS, "the service did not start")

    async def _measure(self, url: str, process: int, name: str, send: Send, limit: float) -> Kind:
        async with _session() as session:
            window = partial(self._window, session, name, send)
            await window(self._plan.first)  # what is used for the first time takes longer
            best = await self._highest(window, limit)
            before, stages = resident_bytes(process), _stages(url)
            steady = await window(best.per_second)
            spent = _since(_stages(url), stages)
            double = await window(2 * best.per_second)
            after = await window(best.per_second)
        return Kind(name, limit, steady, double, after, spent, (before, resident_bytes(process)))

    async def _window(self, session: aiohttp.ClientSession, name: str, send: Send, per_second: float) -> Window:
        self._say(f"{name}: {per_second:.0f} searches/s")
        return summed_up(await drive(partial(send, session), per_second, self._plan.seconds), per_second)

    def _at(self, per_second: float, name: str, send: Send) -> Window:
        """At one rate."""

        async def window() -> Window:
            async with _session() as session:
                return await self._window(session, name, send, per_second)

        return asyncio.run(window())

    async def _highest(self, window: Callable[[float], Awaitable[Window]], limit: float) -> Window:
        """The highest rate within the limit."""
        best, rate = None, self._plan.first
        while (found := await window(rate)).within(limit):
            best, rate = found, rate * STEP
        if best is None:
            raise SearchBenchError(f"even {rate:g} searches/s are too many: p99 {found.p99:.3f} s, {found.shed} shed")
        for _ in range(LOOKS):
            between = (best.per_second + rate) / 2
            found = await window(between)
            best, rate = (found, rate) if found.within(limit) else (best, between)
        return best


Send = Callable[[aiohttp.ClientSession, int], Awaitable[int]]


def _session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(ANSWER_SECONDS)
    return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


async def _similar(url: str, products: int, session: aiohttp.ClientSession, number: int) -> int:
    """Without a model: the pictures of a product that is there."""
    asked = session.get(f"{url}/v1/products/product-{number * 7919 % products}/similar")
    return await _status(asked)


async def _picture(
    url: str,
    pictures: Sequence[bytes],
    session: aiohttp.ClientSession,
    number: int,
    *,
    filters: Mapping[str, str] | None = None,
) -> int:
    form = aiohttp.FormData(dict(filters or {}))
    form.add_field("image", pictures[number % len(pictures)], filename="photo.jpg")
    return await _status(session.post(f"{url}/v1/search", data=form))


async def _status(asked: Any) -> int:
    try:
        async with asked as response:
            await response.read()
            return int(response.status)
    except (aiohttp.ClientError, TimeoutError):
        return 0


def await_green(client: QdrantClient, view: str) -> None:
    """Return when Qdrant has nothing left to optimise."""

    def done() -> bool:
        return client.get_collection(view).status == models.CollectionStatus.GREEN

    time.sleep(1)  # it notices what was written a moment later
    _awaited(done, INDEX_SECONDS, "Qdrant did not build its index")


def _awaited(check: Callable[[], T | None], seconds: float, otherwise: str) -> T:
    """The first true answer."""

    def too_late(_: RetryCallState) -> None:
        raise SearchBenchError(f"{otherwise} within {seconds:.0f} s")

    patiently = Retrying(
        retry=retry_if_result(lambda answer: not answer),
        wait=wait_fixed(0.2),
        stop=stop_after_delay(seconds),
        retry_error_callback=too_late,
    )
    answer = patiently(check)
    assert answer is not None
    return answer


def _stages(url: str) -> dict[str, tuple[float, float]]:
    """Seconds and how often, by stage, as the service counts them."""
    with urlopen(f"{url}/metrics", timeout=ANSWER_SECONDS) as answer:  # noqa: S310 (our own)
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [sample for family in families if family.name == "freshline_search_seconds" for sample in family.samples]
    values = {(each.name.rpartition("_")[2], each.labels["stage"]): each.value for each in samples}
    return {stage: (values["sum", stage], values["count", stage]) for kind, stage in values if kind == "count"}


def _since(now: dict[str, tuple[float, float]], before: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Mean seconds of each stage in between."""
    spent = {stage: (now[stage][0] - before[stage][0], now[stage][1] - before[stage][1]) for stage in now}
    return {stage: seconds / count for stage, (seconds, count) in sorted(spent.items()) if count}
