"""`freshline bench search`: the highest rate that the search service answers in time, and what it does at twice it."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import aiohttp
from qdrant_client import QdrantClient

from encoders.bundle import load_bundle
from encoders.session import available_cores
from freshline.bench.beside import Writing, measure
from freshline.bench.clustered import Clustered
from freshline.bench.errors import BenchError
from freshline.bench.filled import fill
from freshline.bench.installation import install, settings_of
from freshline.bench.meters import resident_bytes
from freshline.bench.openloop import Window, drive, summed_up
from freshline.bench.recall import Asked, Quiz, Row
from freshline.bench.search_report import Kind, SearchReport
from freshline.bench.served import Send, Served, service, session, since
from freshline.bench.telling import Say, Seen
from freshline.bench.workload import Workload, draw
from freshline.parts import opened_store
from indexer.store import Store
from infra.local.stack import LocalStack
from search.filters import only_live
from search.query import Page, nearest
from search.settings import SearchSettings

DRAWN = 50
STEP, LOOKS = 1.5, 3
"""The rate is raised by this factor until it is too much, then what lies between is halved so often."""
EFS = (64, SearchSettings().hnsw_ef, 256, 512)
FILTERED = {"brand": "brand-3"}
USUAL = 0.5
"""Of the highest rate: what one would plan with, filtered or not, since traffic comes in bursts."""
BESIDE = 0.25
"""Of the highest rate, beside a worker that would take all of the machine."""


class SearchBenchError(BenchError):
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
    queries: int = 500
    """Whose answers are compared with exact ones; at most one for each product."""
    beside: bool = False
    """A worker writes as well, at the end."""
    burst: int = 3000
    """Events that its capacity is measured with."""


class _Built(NamedTuple):
    """The view."""

    written_seconds: float
    built_seconds: float
    asked: list[Row]
    memory_bytes: int


class SearchBench:
    """One run on a local stack that is up."""

    def __init__(self, plan: SearchPlan, stack: LocalStack, folder: Path, say: Say) -> None:
        self._plan, self._stack, self._folder, self._say = plan, stack, folder, say
        own = {"TOPIC_PREFIX": "searched.", "ALIAS": "searched", "IMAGE_ROOT": str(folder), "LOG_FORMAT": "json"}
        own["IMAGE_REUSE_BYTES"] = "0"  # the products share pictures, and each is to be encoded
        self._env = stack.env() | {f"FRESHLINE_{key}": value for key, value in own.items()}
        self._settings = settings_of(self._env)

    def run(self, seen: Seen) -> SearchReport:
        """Measure; `seen` is told how many products are in the view.

        Raises:
            SearchBenchError: even the first rate is too high.
            TooLate: the index was not built, or the service did not start.
        """
        self._say(f"drawing {DRAWN} pictures")
        workload = draw(self._folder, DRAWN)
        pictures = [path.read_bytes() for path in workload.pictures]
        view = install(self._settings)
        with opened_store(self._settings) as store:
            built = self._build(store, view, seen)
            with service(self._env, self._folder) as served:
                kinds = [
                    self._measure(served, "like a product", served.similar(self._plan.products), self._plan.limit / 2),
                    self._measure(served, "by a picture", served.picture(pictures), self._plan.limit),
                ]
                highest = kinds[-1].steady.per_second
                filtered = self._at(USUAL * highest, "by a picture, of one brand", served.picture(pictures, FILTERED))
                search = partial(self._at, BESIDE * highest, "by a picture", served.picture(pictures))
                beside = measure(self._writing(store, view, workload), search, self._say) if self._plan.beside else None
        return SearchReport(
            machine=f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}",
            products=self._plan.products,
            seconds=self._plan.seconds,
            **built._asdict(),
            kinds=kinds,
            filtered=filtered,
            beside=beside,
        )

    def _build(self, store: Store, view: str, seen: Seen) -> _Built:
        data = Clustered(self._plan.products, load_bundle(self._settings.bundle_path).manifest.dimension)
        filling = fill(store, view, data, self._say, seen)
        asked = store.run_sync(lambda client: self._ask(client, view, data))
        return _Built(filling.written, filling.built, asked, resident_bytes(self._stack.qdrant.pid))

    def _ask(self, client: QdrantClient, view: str, data: Clustered) -> list[Row]:
        """By the service's own query, one at a time, beside exact answers."""
        self._say("asking exactly")
        quiz = Quiz(data, self._plan.queries)

        def search(asked: Asked) -> list[str]:
            matching = only_live(list(asked.matching.must) if asked.matching else None)  # type: ignore[arg-type]
            hits = nearest(client, view, [asked.vector], page=Page(asked.limit), matching=matching, hnsw_ef=asked.ef)
            return [each.product_id for each in hits]

        self._say("asking with and without filters")
        return quiz.ask(search, EFS)

    def _writing(self, store: Store, view: str, workload: Workload) -> Writing:
        plan = self._plan
        return Writing(
            self._env,
            self._settings,
            self._folder,
            store,
            view,
            workload,
            first=plan.products,
            burst=plan.burst,
            seconds=plan.seconds,
        )

    def _measure(self, served: Served, name: str, send: Send, limit: float) -> Kind:
        async def all_rates() -> Kind:
            async with session() as asking:
                window = partial(self._window, asking, name, send)
                await window(self._plan.first)  # what is used for the first time takes longer
                best = await self._highest(window, limit)
                before, stages = resident_bytes(served.process), served.stages()
                usual = await window(USUAL * best.per_second)
                steady = await window(best.per_second)
                spent = since(served.stages(), stages)
                double = await window(2 * best.per_second)
                after = await window(best.per_second)
            return Kind(name, limit, usual, steady, double, after, spent, (before, resident_bytes(served.process)))

        return asyncio.run(all_rates())

    def _at(self, per_second: float, name: str, send: Send) -> Window:
        """At one rate."""

        async def window() -> Window:
            async with session() as asking:
                return await self._window(asking, name, send, per_second)

        return asyncio.run(window())

    async def _window(self, asking: aiohttp.ClientSession, name: str, send: Send, per_second: float) -> Window:
        self._say(f"{name}: {per_second:.0f} searches/s")
        return summed_up(await drive(partial(send, asking), per_second, self._plan.seconds), per_second)

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
