"""`freshline bench freshness`: how soon products can be found at half of the capacity, and after an outage."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from encoders.bundle import load_bundle
from encoders.session import available_cores
from freshline.bench.clustered import Clustered
from freshline.bench.filled import fill
from freshline.bench.freshness_report import FreshnessReport, Outage, Quantiles
from freshline.bench.hosts_report import Freshness
from freshline.bench.installation import install, settings_of
from freshline.bench.telling import Say, Seen
from freshline.bench.together import RunningWorker, WorkerEnded, await_members, workers
from freshline.bench.traffic import Sighting, Traffic
from freshline.bench.workload import draw
from freshline.parts import opened_store
from infra.local.stack import LocalStack
from stream.freshness import PARTS
from stream.publisher import Publisher, PublisherSettings

DRAWN = 100
PATIENCE_SECONDS = 240.0
"""To begin again and to end; and ten times the outage, to work off what it left."""


@dataclass(frozen=True)
class FreshnessPlan:
    """How long, at which rate."""

    seconds: float = 300
    outage: float = 120
    """Seconds without a worker."""
    rate: float | None = None
    """Events a second; None: `load` of the capacity."""
    load: float = 0.5
    burst: int = 20_000
    """Events that the capacity is measured with: most of a minute's, since machines vary by the second."""
    workers: int = 1
    products: int = 100_000
    """In the view before, as in a shop's."""


class Steady(NamedTuple):
    """What was found at a steady rate."""

    freshness: Freshness
    resolution_seconds: float
    parts: dict[str, Quantiles]


class FreshnessBench:
    """One run on a local stack that is up.

    Args:
        plan: how much.
        stack: with Kafka and Qdrant.
        folder: for pictures, logs and the workers' records.
        say: told what is going on.
    """

    def __init__(self, plan: FreshnessPlan, stack: LocalStack, folder: Path, say: Say) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        own = {"TOPIC_PREFIX": "fresh.", "ALIAS": "fresh", "IMAGE_ROOT": str(folder), "LOG_LEVEL": "warning"}
        own["IMAGE_REUSE_BYTES"] = "0"  # the products share pictures, and each is to be encoded
        self._env = stack.env() | {f"FRESHLINE_{key}": value for key, value in own.items()}
        self._settings = settings_of(self._env)

    def run(self, seen: Seen) -> FreshnessReport:
        """Measure everything; `seen` is told how many seconds of the plan are over."""
        self._say(f"drawing {DRAWN} pictures")
        workload = draw(self._folder, DRAWN)
        view = install(self._settings)
        plan, publishing = self._plan, PublisherSettings(self._settings.kafka(), self._settings.topics)
        manifest = load_bundle(self._settings.bundle_path).manifest
        with opened_store(self._settings) as store, Publisher(publishing) as publisher:
            fill(store, view, Clustered(plan.products, manifest.dimension), self._say, lambda _: None)
            with self._workers(view) as live:
                traffic = Traffic(publisher, store, view, workload, plan.products)
                capacity = self._capacity(traffic, live)
                per_second = plan.rate or plan.load * capacity
                steady = self._steady(traffic, per_second, live, seen)
                for each in live:
                    each.process.kill()
                    each.process.wait()
            outage, again = self._outage(traffic, per_second, view, seen)
        return FreshnessReport(
            machine=f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}",
            bundle=f"{manifest.name}@{manifest.revision}",
            workers=plan.workers,
            products=plan.products,
            capacity_per_second=capacity,
            capacity_again_per_second=again,
            per_second=per_second,
            seconds=plan.seconds,
            steady=steady.freshness,
            resolution_seconds=steady.resolution_seconds,
            parts=steady.parts,
            goal_seconds=self._settings.freshness_goal_seconds,
            outage=outage,
        )

    @contextmanager
    def _workers(self, view: str) -> Iterator[list[RunningWorker]]:
        with workers(self._env, self._folder, self._plan.workers, watched=True) as live:
            self._say("starting the workers")
            await_members(self._settings.kafka(), self._settings.group(view, "live"), live)
            yield live

    def _capacity(self, traffic: Traffic, live: Sequence[RunningWorker]) -> float:
        self._say("as fast as it goes")
        return traffic.saturate(self._plan.burst, patience(live, PATIENCE_SECONDS + 10 * self._plan.outage))

    def _steady(self, traffic: Traffic, per_second: float, live: Sequence[RunningWorker], seen: Seen) -> Steady:
        self._say(f"{per_second:.0f} events/s")
        records = [(each.records, each.records.stat().st_size) for each in live]
        before, traffic.longest_gap = len(traffic.sightings), 0.0

        def steady(seconds: float) -> bool:
            for each in live:
                each.check()
            seen(seconds)
            return seconds < self._plan.seconds

        traffic.run(per_second, steady)
        resolution = traffic.longest_gap
        traffic.drain(patience(live, PATIENCE_SECONDS))
        seconds = [each.freshness for each in traffic.sightings[before:]]
        freshness = Freshness(len(seconds), *_percentiles(seconds), max(seconds))
        return Steady(freshness, resolution, quantiles(records))

    def _outage(self, traffic: Traffic, per_second: float, view: str, seen: Seen) -> tuple[Outage, float]:
        """What it leaves; and the capacity once more, since machines vary."""
        plan, before, goal = self._plan, len(traffic.sightings), self._settings.freshness_goal_seconds
        self._say("no worker")

        def outage(seconds: float) -> bool:
            seen(plan.seconds + seconds)
            return seconds < plan.outage

        traffic.run(per_second, outage)
        backlog, restarted = traffic.waiting, time.time()
        with workers(self._env, self._folder, plan.workers, watched=True) as live:
            self._say(f"working off {backlog:,} events")
            check = patience(live, PATIENCE_SECONDS + 10 * plan.outage)

            def behind(_: float) -> bool:
                check()
                return traffic.waiting >= backlog or traffic.oldest_age() > goal

            arriving = traffic.run(per_second, behind)
            caught_up = time.time()
            traffic.drain(patience(live, PATIENCE_SECONDS))
            sightings = traffic.sightings[before:]
            again = self._capacity(traffic, live)
        return judge(sightings, Spans(plan.outage, restarted, caught_up), arriving, goal), again


@dataclass(frozen=True)
class Spans:
    """How long the outage was, and when two moments were, in seconds since the epoch."""

    outage: float
    restarted: float
    caught_up: float


def judge(sightings: Sequence[Sighting], spans: Spans, arriving: float, goal: float) -> Outage:
    """What became of everything that was published since the workers died."""
    first = min(each.seen for each in sightings)
    worked_off = sum(first < each.seen <= spans.caught_up for each in sightings)
    over = [each.seen for each in sightings if each.freshness > goal]
    return Outage(
        seconds=spans.outage,
        backlog=sum(each.occurred < spans.restarted for each in sightings),
        first_seconds=first - spans.restarted,
        caught_up_seconds=spans.caught_up - spans.restarted,
        arriving_per_second=arriving,
        worked_off_per_second=worked_off / (spans.caught_up - first),
        under_goal_seconds=max(over, default=spans.restarted) - spans.restarted,
        slowest=max(each.freshness for each in sightings),
    )


def patience(live: Sequence[RunningWorker], seconds: float) -> Callable[[], None]:
    """What raises once a worker has ended, or after so many seconds."""
    end = time.monotonic() + seconds

    def check() -> None:
        for each in live:
            each.check()
        if time.monotonic() > end:
            raise WorkerEnded(f"events that were published can't be found after {seconds:.0f} s")

    return check


def quantiles(records: Iterable[tuple[Path, int]]) -> dict[str, Quantiles]:
    """Of each part, over the lines of these files after so many bytes."""
    seconds: dict[str, list[float]] = {part: [] for part in PARTS}
    for path, start in records:
        with path.open("rb") as file:
            file.seek(start)
            for line in file:
                for part, value in json.loads(line).items():
                    seconds[part].append(value)
    return {part: Quantiles(len(all_), *_percentiles(all_)) for part, all_ in seconds.items() if all_}


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    p50, p99 = np.percentile(seconds, [50, 99])
    return float(p50), float(p99)
