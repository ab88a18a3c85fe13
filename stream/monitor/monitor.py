"""The monitor: looks at each part once an interval, and says what it knows whenever somebody asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog
from prometheus_client import CollectorRegistry

from indexer.collections import View, list_views
from indexer.store import Store
from schemas.topics import Topics
from stream.kafka import KafkaSettings
from stream.monitor.collector import failures
from stream.monitor.history import SPAN_SECONDS, History
from stream.monitor.lanes import GroupName, Lanes
from stream.monitor.letters import MOST, LetterCounts, LetterReader
from stream.monitor.pending import LaneFacts, lane_state
from stream.monitor.positions import MonitorError
from stream.monitor.prometheus import Curve, PrometheusReader, with_freshness
from stream.monitor.state import CanaryState, OpsState, Sample, ViewState

READY_INTERVALS = 3
READY_SECONDS = 5.0
"""At least, however short the interval is."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class MonitorSettings:
    """What to look at, and how often."""

    group: GroupName
    topics: Topics = field(default_factory=Topics)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    alias: str = "products"
    interval_seconds: float = 15.0
    goal_seconds: float = 10.0
    prometheus_url: str | None = None
    version: str = ""


class Monitor:
    """A context manager. Each part is asked on a thread of its own, so that one that hangs delays no other."""

    def __init__(
        self,
        settings: MonitorSettings,
        store: Store,
        registry: CollectorRegistry,
        canaries: Callable[[], list[CanaryState]] = list,
    ) -> None:
        self._settings, self._store, self._canaries = settings, store, canaries
        self._exits = ExitStack()
        self._lanes = self._exits.enter_context(Lanes(settings.kafka, settings.topics, settings.group))
        self._letters = LetterCounts()
        self._letter_reader = self._exits.enter_context(
            LetterReader(settings.kafka, settings.topics.dead_letters, self._letters)
        )
        self._prometheus = PrometheusReader(settings.prometheus_url) if settings.prometheus_url else None
        self._views: list[View] = []
        self._curves: tuple[Curve, Curve] = ([], [])
        self._outcomes: dict[str, float] | None = None
        self._history = History()
        self._problems: dict[str, str] = {}
        self._stop = asyncio.Event()
        self.facts: Mapping[str, list[LaneFacts]] = {}
        """By view, its lanes as they were seen last."""
        self.last_success_seconds = 0.0
        """When Kafka's figures were last complete, since 1970; 0 before."""
        self._failures = failures(registry)
        self._parts: dict[str, Callable[[], None]] = {
            "qdrant": self._see_views,
            "kafka": self._see_lanes,
            "dead_letters": self._see_letters,
        }
        if self._prometheus:
            self._parts["prometheus"] = self._see_prometheus
        for part in self._parts:
            self._failures.labels(part)

    def stop(self) -> None:
        """Ask `run` to return. For a signal handler."""
        self._stop.set()

    async def run(self) -> None:
        """Look, once an interval, until `stop` is called. Never ends by what it finds."""
        await self._look("qdrant")  # which names the views that the others look at
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(self._repeat(part))

    async def once(self, seconds: float = 2.0) -> OpsState:
        """Look at everything, and again at what moves after so many seconds."""
        await self._look("qdrant")
        await asyncio.gather(*(self._look(part) for part in self._parts if part != "qdrant"))
        if self.facts:
            await self._wait(seconds)
            await self._look("kafka")
        return self.state()

    def state(self) -> OpsState:
        """What is known, with the ages of this moment. May be asked from any thread."""
        now_ms = time.time_ns() // 1_000_000
        facts = self.facts
        return OpsState(
            at_ms=now_ms,
            version=self._settings.version,
            interval_seconds=self._settings.interval_seconds,
            goal_seconds=self._settings.goal_seconds,
            problems=[f"{part}: {problem}" for part, problem in sorted(self._known_problems().items())],
            views=[_view_state(view, facts.get(view.name, []), now_ms) for view in self._views],
            canaries=self._canaries(),
            dead_letters=self._letters.counts(now_ms / 1000),
            outcomes=self._outcomes,
            history=with_freshness(self._history.samples(now_ms), *self._curves),
        )

    def waits_for(self) -> list[str]:
        """Why its figures are not to be relied on; empty when it is ready. May be asked from any thread."""
        patience = max(READY_SECONDS, READY_INTERVALS * self._settings.interval_seconds)
        if not self._views:
            return ["qdrant"]
        return ["kafka"] if time.time() - self.last_success_seconds > patience else []

    def _known_problems(self) -> dict[str, str]:
        """By part; a round that does not come to its end is one, too."""
        problems = self._problems.copy()
        if self.last_success_seconds and "kafka" not in problems and "kafka" in self.waits_for():
            problems["kafka"] = f"nothing new for {time.time() - self.last_success_seconds:.0f} s"
        return problems

    async def _repeat(self, part: str) -> None:
        while not self._stop.is_set():
            due = time.monotonic() + self._settings.interval_seconds
            await self._look(part)
            await self._wait(due - time.monotonic())

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _look(self, part: str) -> None:
        try:
            await asyncio.to_thread(self._parts[part])
        except Exception as error:  # whatever is wrong with one part, the others are told of
            problem = str(error) or repr(error)
            if self._problems.get(part) != problem:
                log.warning("the monitor can't see all", part=part, problem=problem)
            self._problems[part] = problem
            self._failures.labels(part).inc()
        else:
            self._problems.pop(part, None)

    def _see_views(self) -> None:
        alias = self._settings.alias
        self._views = self._store.run_sync(lambda client: list_views(client, alias))
        if not self._views:
            raise MonitorError(f"the alias {alias!r} has no view yet: run `freshline setup`")

    def _see_lanes(self) -> None:
        try:
            if not self._views:
                raise MonitorError("it is not known yet which views there are")
            self.facts, problems = self._lanes.round([view.name for view in self._views])
            if problems:
                raise MonitorError("; ".join(problems))
            self.last_success_seconds = time.time()
        finally:
            self._remember()

    def _see_letters(self) -> None:
        self._letter_reader.read(lambda: not self._stop.is_set())
        if self._letters.dropped:
            raise MonitorError(f"more than {MOST} letters: {self._letters.dropped} of the oldest are not counted")

    def _remember(self) -> None:
        """What the serving view's live and retry lanes come to at this moment, whether or not anything was seen."""
        serving = next((view.name for view in self._views if view.serving), None)
        now_ms = time.time_ns() // 1_000_000
        lanes = [lane_state(facts, now_ms) for facts in self.facts.get(serving or "", []) if facts.lane != "replay"]
        if lanes:
            live = lanes[0]
            self._history.add(
                Sample(
                    at_ms=now_ms,
                    oldest_pending_seconds=max(lane.oldest_pending_seconds for lane in lanes),
                    lag_events=sum(lane.lag_events for lane in lanes),
                    arrival_rate=live.arrival_rate,
                    work_rate=live.work_rate,
                )
            )

    def _see_prometheus(self) -> None:
        assert self._prometheus is not None
        serving, now = next((view.name for view in self._views if view.serving), None), time.time()
        self._outcomes = self._prometheus.outcomes()
        if serving:
            median, p99 = (self._prometheus.freshness(serving, q, now - SPAN_SECONDS, now) for q in (0.5, 0.99))
            self._curves = (median, p99)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._exits.close()


def _view_state(view: View, lanes: list[LaneFacts], now_ms: int) -> ViewState:
    return ViewState(
        name=view.name,
        serving=view.serving,
        space=view.space,
        points=view.points,
        lanes=[lane_state(facts, now_ms) for facts in lanes],
    )
