"""Searches and a worker at once, on the same view and the same cores: what each costs the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freshline.bench.freshness import PATIENCE_SECONDS, patience
from freshline.bench.hosts_report import Freshness
from freshline.bench.openloop import Window
from freshline.bench.search_report import Beside
from freshline.bench.telling import Say
from freshline.bench.together import RunningWorker, await_members, workers
from freshline.bench.traffic import Traffic
from freshline.bench.workload import Workload
from freshline.settings import Settings
from indexer.store import Store
from stream.publisher import Publisher, PublisherSettings

FULL = 0.9
"""Of what the worker can by itself: at all of it, any breath that it takes is never made up for."""

Searching = Callable[[], Window]


@dataclass(frozen=True)
class Writing:
    """Where a worker writes, and what."""

    env: Mapping[str, str]
    settings: Settings
    """Those of `env`."""
    folder: Path
    """For its log."""
    store: Store
    """Asked for the products."""
    view: str
    workload: Workload
    first: int
    """The number of the first product: those before are in the view."""
    burst: int
    """Products that the worker's capacity is measured with."""
    seconds: float
    """How long each other measurement lasts."""


def measure(writing: Writing, search: Searching, say: Say) -> Beside:
    """Searches alone, a worker alone as fast as it goes, and both; `search` takes about `seconds`."""
    settings = writing.settings
    say("searches alone")
    idle_search = search()
    publishing = PublisherSettings(settings.kafka(), settings.topics)
    with Publisher(publishing) as publisher, workers(writing.env, writing.folder, 1) as live:
        say("a worker, as fast as it goes")
        await_members(settings.kafka(), settings.group(writing.view, "live"), live)
        traffic = Traffic(publisher, writing.store, writing.view, writing.workload, writing.first)
        per_second = FULL * traffic.saturate(writing.burst, patience(live, PATIENCE_SECONDS))
        say(f"{per_second:.0f} new products/s alone")
        idle_freshness = _fresh(traffic, per_second, writing.seconds, live)
        say(f"{per_second:.0f} new products/s beside searches")
        with ThreadPoolExecutor(1) as pool:
            fresh = pool.submit(_fresh, traffic, per_second, writing.seconds, live)
            beside_search = search()
            beside_freshness = fresh.result()
    return Beside(per_second, idle_search, beside_search, idle_freshness, beside_freshness)


def _fresh(traffic: Traffic, per_second: float, seconds: float, live: Sequence[RunningWorker]) -> Freshness:
    """Of what is published in so many seconds; returns when all of it can be found."""
    before = len(traffic.sightings)
    traffic.run(per_second, lambda so_far: so_far < seconds)
    traffic.drain(patience(live, PATIENCE_SECONDS))
    fresh = [each.freshness for each in traffic.sightings[before:]]
    p50, p99 = np.percentile(fresh, [50, 99])
    return Freshness(len(fresh), float(p50), float(p99), max(fresh))
