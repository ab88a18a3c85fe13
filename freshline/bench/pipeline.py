"""`freshline bench pipeline`: how fast events go through, beside what their stages and plain upserts would allow."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry
from qdrant_client import QdrantClient, models

from encoders.session import ImageEncoder, available_cores
from freshline.bench.alone import Costs, Parts, consume_cost, stage_costs
from freshline.bench.installation import install, settings_of
from freshline.bench.meters import Meter, Use
from freshline.bench.report import Memory, PipelineReport, Rate
from freshline.bench.telling import Say, Seen
from freshline.bench.together import Sample, await_members, watch, workers
from freshline.bench.workload import Workload, draw
from freshline.parts import load_encoder, opened_store
from freshline.settings import Settings
from indexer.collections import view_name
from indexer.decide import Change
from infra.local.stack import LocalStack
from schemas.events import Event
from stream.consumer import ConsumerSettings
from stream.health import Health
from stream.images.fetcher import ImageFetcher
from stream.metrics import Metrics
from stream.publisher import Publisher, PublisherSettings
from stream.stages import Stages, StageSettings
from stream.worker import WorkerSettings

DRAWN = 100
ALONE = 2000
"""Events that each stage alone is measured with."""
WARM_UP = 0.1
UPSERT_BATCH = 256
UPSERT_ROUNDS = 3


@dataclass(frozen=True)
class PipelinePlan:
    """How much goes through, after a warm-up of a tenth of it."""

    pictures: int = 5000
    """Products, each an event with a new picture."""
    rounds: int = 9
    """Events without one for each of them."""
    workers: int = 1
    """Processes that share the work, each on a core of its own where they are several."""

    @property
    def warm_up(self) -> int:
        """Products of the warm-up."""
        return max(1, round(self.pictures * WARM_UP))

    @property
    def events(self) -> int:
        """All of them, with the warm-up."""
        return (self.warm_up + self.pictures) * (1 + self.rounds)


class PipelineBench:
    """One run on a local stack that is up.

    Args:
        plan: how much.
        stack: whose servers' processor time counts too.
        folder: for pictures and logs.
        say: told what is going on.
    """

    def __init__(self, plan: PipelinePlan, stack: LocalStack, folder: Path, say: Say) -> None:
        self._plan = plan
        self._stack = stack
        self._folder = folder
        self._say = say
        self._servers = [stack.kafka.pid, stack.qdrant.pid]
        self._cores = available_cores()

    def run(self, seen: Seen) -> PipelineReport:
        """Measure everything; `seen` is told how many events the workers have settled."""
        drawn = min(DRAWN, self._plan.pictures)
        self._say(f"drawing {drawn} pictures")
        workload = draw(self._folder, drawn)
        alone = self._installed("alone")
        encoder = load_encoder(alone, threads=1)
        self._say("each stage alone")
        pictures, payloads, encoded = self._alone(alone, encoder, workload)
        self._say("plain upserts")
        upserts = self._upserts(alone, view_name(alone.alias, encoder.space, 1))
        samples = self._together(workload, encoder.space, seen)
        manifest = encoder.bundle.manifest
        return PipelineReport(
            machine=f"{platform.machine()}, {self._cores} cores, Python {platform.python_version()}",
            bundle=f"{manifest.name}@{manifest.revision}",
            workers=self._plan.workers,
            pictures=self._rate(samples, "indexed", pictures),
            payloads=self._rate(samples, "payload_only", payloads),
            encoder_per_second=ALONE / encoded.wall,
            upserts_per_second=upserts,
            memory=self._memory(samples),
        )

    def _alone(self, settings: Settings, encoder: ImageEncoder, workload: Workload) -> tuple[Costs, Costs, Use]:
        numbers, meter = range(ALONE), Meter(*self._servers, own=True)
        listed, repriced = list(workload.listed(numbers)), list(workload.repriced(numbers, range(1)))
        self._publish(settings, listed)
        consuming = WorkerSettings(ConsumerSettings(settings.topics.events, "alone", settings.kafka()))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            consume = runner.run(consume_cost(consuming, meter, ALONE))
            pictures, payloads, encoded = runner.run(self._stages(settings, encoder, meter, listed, repriced))
        return {"consume, settle": consume} | pictures, {"consume, settle": consume} | payloads, encoded

    async def _stages(
        self, settings: Settings, encoder: ImageEncoder, meter: Meter, *events: Sequence[Event]
    ) -> tuple[Costs, Costs, Use]:
        fetcher = ImageFetcher(settings.images())
        view = view_name(settings.alias, encoder.space, 1)
        metrics = Metrics(CollectorRegistry(), view=view, lane="live")
        listed, repriced = ([Change(event, offset) for offset, event in enumerate(some)] for some in events)
        with opened_store(settings) as store:
            pause = StageSettings(batch_pause=0)
            stages = Stages(
                pause, view=view, store=store, fetcher=fetcher, encoder=encoder, metrics=metrics, health=Health()
            )
            async with stages:
                return await stage_costs(Parts(stages, fetcher, encoder, self._cores, meter), listed, repriced)

    def _upserts(self, settings: Settings, view: str) -> float:
        """Points a second, by the client's own means: the median of several rounds over all points."""
        with opened_store(settings) as store:
            return median(store.run_sync(lambda client: overwrite(client, view)) for _ in range(UPSERT_ROUNDS))

    def _together(self, workload: Workload, space: str, seen: Seen) -> list[Sample]:
        settings = self._installed("together")
        group = settings.group(view_name(settings.alias, space, 1), "live")
        with workers(self._environment("together"), self._folder, self._plan.workers) as running:
            self._say("starting the workers")
            await_members(settings.kafka(), group, running)
            self._say("the workers at work")
            self._publish(settings, self._events(workload))
            return watch(running, self._servers, self._plan.events, seen)

    def _events(self, workload: Workload) -> Iterator[Event]:
        """Those of the warm-up first."""
        first, last = self._plan.warm_up, self._plan.warm_up + self._plan.pictures
        for numbers in (range(first), range(first, last)):
            yield from workload.listed(numbers)
            yield from workload.repriced(numbers, range(self._plan.rounds))

    def _publish(self, settings: Settings, events: Iterable[Event]) -> None:
        with Publisher(PublisherSettings(settings.kafka(), settings.topics)) as publisher:
            for event in events:
                publisher.publish(event)

    def _installed(self, name: str) -> Settings:
        """An installation of its own: topics, view and alias."""
        settings = settings_of(self._environment(name))
        install(settings)
        return settings

    def _environment(self, name: str) -> dict[str, str]:
        own = {"TOPIC_PREFIX": f"{name}.", "ALIAS": name, "IMAGE_ROOT": str(self._folder), "LOG_LEVEL": "warning"}
        own["IMAGE_REUSE_BYTES"] = "0"  # the products share pictures, and each is to be encoded
        return self._stack.env() | {f"FRESHLINE_{key}": value for key, value in own.items()}

    def _rate(self, samples: Sequence[Sample], outcome: str, costs: Costs) -> Rate:
        """Of the events with this outcome, without the warm-up and the end, when one worker is done before another."""
        total = samples[-1].settled[outcome]
        first, last = (_when(samples, outcome, share * total) for share in (2 * WARM_UP, 0.85))
        start, end = samples[min(first, last - 1)], samples[last]  # a tiny run can be over from one to the next
        used = end.use.since(start.use)
        events = end.settled[outcome] - start.settled.get(outcome, 0)
        return Rate(round(events), events / used.wall, costs, self._cores, used.cpu / used.wall)

    def _memory(self, samples: Sequence[Sample]) -> Memory:
        warm_up = self._plan.warm_up * (1 + self._plan.rounds)
        warm = [sample for sample in samples if warm_up <= sample.events < 2 * warm_up] or samples[-1:]
        end = [sample for sample in samples if sample.events >= 0.95 * self._plan.events]
        return Memory(
            warm=median(sample.resident_bytes for sample in warm),
            end=median(sample.resident_bytes for sample in end),
            peak=max(sample.resident_bytes for sample in samples),
            events=self._plan.events - warm_up,
        )


def _when(samples: Sequence[Sample], outcome: str, count: float) -> int:
    """The index of the first sample in which so many events had this outcome."""
    return next(index for index, sample in enumerate(samples) if sample.settled.get(outcome, 0) >= count)


def overwrite(client: QdrantClient, view: str) -> float:
    """Write the view's points again as they are, 2,000 at most; points a second."""
    points, _ = client.scroll(view, limit=ALONE, with_vectors=True)
    fields: list[tuple[Any, Any, Any]] = [(point.id, point.payload, point.vector) for point in points]
    started = time.perf_counter()
    for start in range(0, len(fields), UPSERT_BATCH):
        batch = fields[start : start + UPSERT_BATCH]
        written = [models.PointStruct(id=each, payload=payload, vector=vector) for each, payload, vector in batch]
        client.upsert(view, written, wait=True)
    return len(fields) / (time.perf_counter() - started)
