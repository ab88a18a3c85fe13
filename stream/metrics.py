"""What a worker counts and measures, under the names that dashboards rely on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Protocol, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream.health import Health, Part

_FRESHNESS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 2700, 3600, 5400, 7200, 14400)
_PART = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, *_FRESHNESS)
_STAGE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FILL = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1)


class Watcher(Protocol):
    """Told of every event beside the counters, for exact figures where a histogram has buckets."""

    def settled(self, outcome: str) -> None:
        """An event is done."""

    def fresh(self, event_type: str, seconds: float, parts: Mapping[str, float]) -> None:
        """An event became readable `seconds` after it occurred, which its parts add up to."""


class Metrics:
    """The metrics of one worker, in one registry."""

    def __init__(self, registry: CollectorRegistry, *, view: str, lane: str, watcher: Watcher | None = None) -> None:
        self._view, self._lane, self._watcher = view, lane, watcher
        self._freshness = Histogram(
            "freshline_freshness_seconds",
            "From occurred_at to readable in the index.",
            ["view", "lane", "type"],
            buckets=_FRESHNESS,
            registry=registry,
        )
        # A child is kept: to look it up costs as much as to count, and an event has six and more of these.
        self._freshness_of = cache(partial(self._freshness.labels, view))
        self._parts = Histogram(
            "freshline_freshness_part_seconds",
            "Where the time from occurred_at to readable went: for each event, its parts add up to its freshness.",
            ["lane", "part"],
            buckets=_PART,
            registry=registry,
        )
        self._part_of = cache(self._parts.labels)
        self._missed = Counter(
            "freshline_freshness_missed",
            "Accepted live events that did not become readable within the promise.",
            ["view", "lane", "why"],
            registry=registry,
        )
        for why in ("late", "parked_past", "dead_lettered"):
            self._missed.labels(view, "live", why)  # at 0 from the start: else the first one is no increase
        self._events = Counter(
            "freshline_events", "Events settled, by what became of them.", ["lane", "outcome"], registry=registry
        )
        self._stages = Histogram(
            "freshline_stage_seconds", "Time in one stage.", ["stage"], buckets=_STAGE, registry=registry
        )
        self._fill = Histogram(
            "freshline_batch_fill_ratio",
            "Images in an encoder batch, of the most that fit.",
            buckets=_FILL,
            registry=registry,
        )
        self._dead_letters = Counter("freshline_dead_letters", "Records given up on.", ["reason"], registry=registry)
        self._in_flight = Gauge("freshline_in_flight_events", "Events delivered and not settled.", registry=registry)
        self._yielding = Gauge(
            "freshline_yielding",
            "1 while nothing is taken on because the serving view's live lane is behind.",
            registry=registry,
        )
        self._limit = Gauge("freshline_in_flight_limit", "Events in flight at most, at present.", registry=registry)
        self._holding = Gauge(
            "freshline_holding", "1 while the worker holds on because this part is away.", ["part"], registry=registry
        )
        self._stuck = Gauge(
            "freshline_stuck", "1 while the worker makes no headway although nothing is away.", registry=registry
        )

    def watch(self, health: Health, in_flight: Callable[[], int], is_stuck: Callable[[], bool]) -> None:
        """Report what these say whenever somebody asks."""
        self._in_flight.set_function(in_flight)
        self._stuck.set_function(is_stuck)
        for part in get_args(Part):
            self._holding.labels(part).set_function(partial(health.waits_for, part))

    def watch_yielding(self, paused: Callable[[], bool], limit: Callable[[], int]) -> None:
        """Report what these say whenever somebody asks."""
        self._yielding.set_function(paused)
        self._limit.set_function(limit)

    def settled(self, outcome: str) -> None:
        """Count an event."""
        self._events.labels(self._lane, outcome).inc()
        if self._watcher is not None:
            self._watcher.settled(outcome)

    def fresh(self, lane: str, event_type: str, seconds: float, parts: Mapping[str, float]) -> None:
        """An event of this lane became readable `seconds` after it occurred; a parked one counts where it came from."""
        self._freshness_of(lane, event_type).observe(seconds)
        for part, spent in parts.items():
            self._part_of(lane, part).observe(spent)
        if self._watcher is not None:
            self._watcher.fresh(event_type, seconds, parts)

    def missed(self, why: str) -> None:
        """An accepted live event did not become readable in time."""
        self._missed.labels(self._view, "live", why).inc()

    def dead_lettered(self, reason: str) -> None:
        """Count a dead letter."""
        self._dead_letters.labels(reason).inc()

    def encoded(self, fill_ratio: float, seconds: float) -> None:
        """An encoder batch is done."""
        self._fill.observe(fill_ratio)
        self._stages.labels("encode").observe(seconds)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one pass through a stage, failed ones too."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(time.perf_counter() - start)
