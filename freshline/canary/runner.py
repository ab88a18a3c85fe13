"""The canary at work: a round each minute, and how the last one went."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry

from encoders.session import ImageEncoder
from freshline.canary.events import Versions
from freshline.canary.metrics import CanaryMetrics
from freshline.canary.passage import Passage
from freshline.canary.pictures import Place
from freshline.canary.round import Round
from freshline.canary.sight import Sight
from indexer.collections import View, ViewError, list_views
from indexer.store import Store
from schemas.events import VersionScheme
from search.metrics import SearchMetrics
from search.model import Model
from search.searcher import Searcher
from search.settings import SearchSettings
from stream.monitor.state import CanaryState
from stream.publisher import Publisher

log = structlog.get_logger(__name__)

Encoders = Callable[[str], ImageEncoder]


@dataclass(frozen=True)
class CanarySettings:
    """Which views, and when."""

    alias: str
    versions: VersionScheme = "timestamp"
    interval_seconds: float = 60.0
    """From the start of a round to the start of the next; one that takes longer is followed at the next turn."""
    deadline_seconds: float = 60.0
    """Of a step."""


class Canary(Protocol):
    """What the monitor has of it."""

    async def run(self) -> None:
        """For ever, until cancelled."""
        ...

    def states(self) -> list[CanaryState]:
        """How the last round went; from any thread."""
        ...

    def image(self, name: str) -> bytes | None:
        """The JPEG at `/canary/NAME` of the monitor, or None; from any thread."""
        ...


class NoCanary:
    """None is sent, and why."""

    def __init__(self, alias: str, reason: str) -> None:
        self._state = CanaryState(view=alias, message=f"the canary is off: {reason}")
        log.info("no canary", reason=reason)

    async def run(self) -> None:
        """Wait."""
        await asyncio.Event().wait()

    def states(self) -> list[CanaryState]:
        """The reason, under the alias."""
        return [self._state]

    def image(self, name: str) -> bytes | None:
        """None."""
        return None


class CanaryRunner:
    """Sends the canary through every view of an alias.

    Args:
        settings: which views, and when.
        store: with the views.
        encoders: from a space to its encoder, which is loaded when it is first asked for; ViewError: none is known.
        publisher: of the installation.
        place: for the picture.
        registry: where `freshline_canary_*` go.
    """

    def __init__(
        self,
        settings: CanarySettings,
        *,
        store: Store,
        encoders: Encoders,
        publisher: Publisher,
        place: Place,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._store = store
        self._encoders = encoders
        self._publisher = publisher
        self._place = place
        self._metrics = CanaryMetrics(registry)
        self._versions = Versions(settings.versions)
        self._views: list[View] = []
        self._states: dict[str, CanaryState] = {}

    async def run(self) -> None:
        """A round at each turn of the monotonic clock, until cancelled; the product is withdrawn then too."""
        interval = self._settings.interval_seconds
        due = time.monotonic()
        while True:
            try:
                await self.round()
            except Exception:  # a fault of ours, not of what is watched: the next round must come
                log.exception("the canary's round ended early")
            due += interval * max(1, -(-(time.monotonic() - due) // interval))
            await asyncio.sleep(due - time.monotonic())

    async def round(self) -> None:
        """One round; how it went is in `states`."""
        views = await self._find_views()
        self._metrics.watch([view.name for view in views])
        if not views:
            self._states = {}
            log.warning("canary", problem=f"no view of {self._settings.alias!r} to be seen")
            return
        async with AsyncExitStack() as searchers:
            passages = [await self._passage(view, searchers) for view in views]
            sights = [passage.sight for passage in passages]
            deadline = self._settings.deadline_seconds
            await Round(self._publisher, self._place, self._versions, passages, deadline).run(await _highest(sights))
        self._states = {each.sight.view: each.state(self._states.get(each.sight.view)) for each in passages}

    def states(self) -> list[CanaryState]:
        """How the last whole round went in each view, the serving one first; from any thread."""
        return list(self._states.values())

    def image(self, name: str) -> bytes | None:
        """The JPEG at `/canary/NAME` of the monitor, or None; from any thread."""
        return self._place.image(name)

    async def _find_views(self) -> list[View]:
        """The views of now; while Qdrant can't be asked, those of before."""
        try:
            self._views = await self._store.run(partial(list_views, alias=self._settings.alias))
        except Exception as error:  # the round will say for each view what is wrong
            log.warning("the canary can't look the views up", error=repr(error))
        return self._views

    async def _passage(self, view: View, searchers: AsyncExitStack) -> Passage:
        searcher = remark = None
        try:
            searcher = self._searcher(view.name, await asyncio.to_thread(self._encoders, view.space))
            await searchers.enter_async_context(searcher.running())
        except ViewError as error:
            remark = f"found, gone: skipped: {error}"
        sight = Sight(self._store, view.name, searcher)
        return Passage(sight, self._metrics, self._settings.deadline_seconds, remark=remark)

    def _searcher(self, view: str, encoder: ImageEncoder) -> Searcher:
        """As shoppers' one, with metrics that nobody sees: the canary is no shopper."""
        settings = SearchSettings(self._settings.alias, view, decode_threads=1, encode_batch=1)
        metrics = SearchMetrics(CollectorRegistry())
        return Searcher(self._store, Model(encoder.bundle.manifest, encoder.encode), settings, metrics)


async def _highest(sights: Sequence[Sight]) -> int:
    """The highest version of the canary in any of the views that answer."""
    answers = await asyncio.gather(*(sight.version() for sight in sights), return_exceptions=True)
    return max((answer for answer in answers if isinstance(answer, int)), default=0)
