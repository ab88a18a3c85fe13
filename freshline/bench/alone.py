"""Each stage of the pipeline alone: the processor time that an event needs in it, with what the servers do for it.

The stages are the worker's own parts, fed in full batches and with nothing else going on. What the whole pipeline takes
beyond the sum of these figures is what joining them costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, TypeVar, cast

import numpy as np

from encoders.pixels import Pixels, decode
from encoders.session import ImageEncoder
from freshline.bench.meters import Meter, Use
from indexer.compose import Encoded, compose
from indexer.decide import Change, Plan
from indexer.points import Point
from schemas.events import Image, read_event
from stream.health import Health
from stream.images.fetcher import Fetched, ImageFetcher
from stream.pipeline import Pipeline
from stream.records import Record
from stream.stages import Stages
from stream.worker import Worker, WorkerSettings

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 256
BATCH = 32

Costs = dict[str, float]
"""Stage to seconds of processor time for one event."""


@dataclass(frozen=True)
class Parts:
    """What the stages are made of, and the meter of all processes that have a part in them."""

    stages: Stages
    fetcher: ImageFetcher
    encoder: ImageEncoder
    cores: int
    meter: Meter


async def stage_costs(parts: Parts, listed: Sequence[Change], repriced: Sequence[Change]) -> tuple[Costs, Costs, Use]:
    """Run each stage over the events: first new products, then other prices for them.

    Returns:
        The costs of an event with a new picture, those of one without, and what encoding the pictures took.
    """
    pictures, payloads = Bill(parts.meter, len(listed)), Bill(parts.meter, len(repriced))
    plans = await pictures.add("decide", _all(parts.stages.decide, listed))
    fetched = await pictures.add("fetch", _all(parts.fetcher.fetch, [_picture(plan) for plan in plans]))
    pixels = await pictures.add("decode", asyncio.to_thread(_decode, parts, fetched))
    encoding = parts.meter.read()
    vectors = await pictures.add("encode", asyncio.to_thread(encode, parts, pixels))
    encoded = parts.meter.read().since(encoding)
    fresh = [Encoded(data.digest, vector) for data, vector in zip(fetched, vectors, strict=True)]
    await pictures.add("write", _write(parts, plans, fresh))

    plans = await payloads.add("decide", _all(parts.stages.decide, repriced))
    await payloads.add("write", _write(parts, plans, [None] * len(plans)))
    return pictures.costs, payloads.costs, encoded


class Bill:
    """Adds up what stages cost."""

    def __init__(self, meter: Meter, events: int) -> None:
        self._meter = meter
        self._events = events
        self.costs: Costs = {}

    async def add(self, stage: str, work: Awaitable[R]) -> R:
        """Do the work of a stage, and note what it cost for each event."""
        before = self._meter.read()
        result = await work
        self.costs[stage] = self._meter.read().since(before).cpu / self._events
        return result


def encode(parts: Parts, pixels: Sequence[Pixels]) -> list[Any]:
    """The pictures' vectors, batch by batch, on all cores as the worker does it."""
    with ThreadPoolExecutor(parts.cores) as pool:
        batches = pool.map(lambda batch: parts.encoder.encode(np.stack(batch)), _groups(pixels, BATCH))
        return [vector for batch in batches for vector in batch]


def _decode(parts: Parts, fetched: Sequence[Fetched]) -> list[Pixels]:
    work = partial(decode, size=parts.encoder.size, resize=parts.encoder.resize)
    with ThreadPoolExecutor(parts.cores) as pool:
        return list(pool.map(lambda picture: work(picture.data), fetched))


async def _write(parts: Parts, plans: Sequence[Plan], fresh: Sequence[Encoded | None]) -> None:
    def point(plan: Plan, encoded: Encoded | None) -> Point:
        return compose(plan, {_picture(plan): encoded} if encoded else {}, [], datetime.now(UTC))

    for group in _groups(list(zip(plans, fresh, strict=True)), AT_ONCE):
        await _all(parts.stages.write, [point(*each) for each in group])


def _picture(plan: Plan) -> Image:
    return plan.change.event.images[0]


async def _all(work: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    return [result for group in _groups(items, AT_ONCE) for result in await asyncio.gather(*map(work, group))]


def _groups(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def consume_cost(settings: WorkerSettings, meter: Meter, events: int) -> float:
    """Consuming, reading and settling alone: seconds of processor time for an event, of `events` on the topic."""
    gauge = _Settled(meter, events)
    worker = Worker(settings, cast("Pipeline", gauge), Health())
    gauge.done = worker.stop
    await worker.run()
    return gauge.cost


class _Settled:
    """A pipeline in which every event is durable at once."""

    def __init__(self, meter: Meter, events: int) -> None:
        self._meter = meter
        self._first = events // 10  # by then Faust is past its start
        self._last = events
        self._count = 0
        self._began = Use(0, 0)
        self.done: Callable[[], None] = lambda: None
        self.cost = 0.0

    async def process(self, record: Record) -> str:
        read_event(record.key, record.value, record.timestamp_ms, "timestamp", datetime.now(UTC))
        self._count += 1
        if self._count == self._first:
            self._began = self._meter.read()
        if self._count == self._last:
            self.cost = self._meter.read().since(self._began).cpu / (self._last - self._first)
            self.done()
        return "indexed"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass
