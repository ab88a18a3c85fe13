"""How long an old event can still come back, and so how long the tombstone that keeps it out must stay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from schemas.topics import DAY_MS, Topics

SETTING = "FRESHLINE_TOMBSTONE_RETENTION_DAYS"


@dataclass(frozen=True)
class Lifetime:
    """How long a topic may keep an event that something newer has replaced."""

    topic: str
    settings: str
    """Those that make it, with their values."""
    milliseconds: float
    """Infinite where nothing is ever removed."""


def lifetimes(topics: Topics, configs: Mapping[str, Mapping[str, str]]) -> Iterator[Lifetime]:
    """Of each topic that can bring an old event, as far as its broker settings are given.

    On the lanes a record lives until its segment is rolled and the retention is over; on `catalog.events` a null
    value lives until it may be compacted and its own retention is over.
    """
    for topic, names in (
        (topics.replay, ("retention.ms", "segment.ms")),
        (topics.retry, ("retention.ms", "segment.ms")),
        (topics.events, ("min.compaction.lag.ms", "delete.retention.ms")),
    ):
        if config := configs.get(topic):
            values = [int(config[name]) for name in names]
            text = " + ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
            yield Lifetime(topic, text, sum(math.inf if value < 0 else value for value in values))


def retention_problems(topics: Topics, configs: Mapping[str, Mapping[str, str]], tombstones: timedelta) -> list[str]:
    """Each topic that could bring an event back after `tombstones`, and what to change; none: all fits together."""
    kept = tombstones / timedelta(milliseconds=1)
    return [_problem(life, tombstones) for life in lifetimes(topics, configs) if life.milliseconds >= kept]


def _problem(life: Lifetime, tombstones: timedelta) -> str:
    names = " or ".join(word for word in life.settings.split() if word.endswith(".ms"))
    if math.isinf(life.milliseconds):
        total, remedy = "no end", f"give the topic a {names}"
    else:
        total = f"{life.milliseconds / DAY_MS:g} days"
        remedy = f"set {SETTING} to {math.floor(life.milliseconds / DAY_MS) + 1} or more, or lower {names}"
    return (
        f"topic {life.topic}: {life.settings} is {total}, but tombstones are swept after {tombstones.days} days"
        f" ({SETTING}), so an old event could bring a deleted product back: {remedy}"
    )
