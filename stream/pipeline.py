"""The seven stages of an event: consume, decide, fetch, decode, encode, write, settle. Plain asyncio.

Events flow one by one; batches form only where a batch pays (decide, encode, write), so one slow picture never holds
up its neighbours. Knows neither Faust nor Kafka: the worker hands in records and settles what comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from indexer.compose import Encoded, compose
from indexer.decide import DROPS, Action, Change, Plan, elect
from indexer.writer import Written
from schemas.dead_letters import DeadLetter, Reason
from schemas.events import Event, Image, InvalidEvent, VersionScheme, read_event
from schemas.headers import FORCE, SOURCE_OFFSET
from schemas.payloads import FailedImage
from stream.batching import Turns
from stream.dead_letters import DeadLetters
from stream.metrics import Metrics
from stream.stages import ImageFailure, Stages

log = structlog.get_logger(__name__)

MAX_OFFSET_DIGITS = 14  # 32 times the offset must be a version's size at most


@dataclass(frozen=True)
class Record:
    """A Kafka record as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Mapping[str, bytes | None] = field(default_factory=dict)


@dataclass(frozen=True)
class PipelineSettings:
    """What a pipeline is for."""

    view: str
    lane: str = "live"
    versions: VersionScheme = "timestamp"
    worker_version: str = "unknown"


@dataclass(frozen=True)
class _Job:
    record: Record
    change: Change


def _now() -> datetime:
    return datetime.now(UTC)


class Pipeline:
    """Takes a record through all stages. An async context manager."""

    def __init__(
        self,
        settings: PipelineSettings,
        stages: Stages,
        dead_letters: DeadLetters,
        metrics: Metrics,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._settings = settings
        self._stages = stages
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._clock = clock
        self._turns: Turns[_Job, str] = Turns(self._product)

    async def process(self, record: Record) -> str:
        """Return once the record may be settled: what became of it is durable.

        Returns:
            The outcome, as `freshline_events_total` counts it.
        """
        try:
            change = self._read(record)
        except InvalidEvent as error:
            await self._give_up(record, None, error.reason, str(error), "consume")
            outcome = "dead_lettered"
        else:
            outcome = await self._turns.take(change.event.product_id, _Job(record, change))
        self._metrics.settled(outcome)
        log.debug("settled", topic=record.topic, partition=record.partition, offset=record.offset, outcome=outcome)
        return outcome

    def _read(self, record: Record) -> Change:
        event = read_event(record.key, record.value, record.timestamp_ms, self._settings.versions, self._clock())
        return Change(event, self._source_offset(record), force=FORCE in record.headers)

    def _source_offset(self, record: Record) -> int:
        """Where the event stands in `catalog.events`: on the live lane, in its own place, whatever a header says."""
        if self._settings.lane == "live":
            return record.offset
        digits = record.headers.get(SOURCE_OFFSET) or b""
        if not digits.isdigit() or len(digits) > MAX_OFFSET_DIGITS:
            raise InvalidEvent(Reason.INVALID_EVENT, f"header {SOURCE_OFFSET}: must be an offset in ASCII digits")
        return int(digits)

    async def _product(self, jobs: Sequence[_Job]) -> list[str]:
        """All waiting events of one product: the newest is done, the others are only reported."""
        if len(jobs) == 1:
            return [await self._change(jobs[0])]
        winner, actions = elect([job.change for job in jobs])
        done = await self._change(jobs[winner])
        return [
            done if index == winner else await self._dropped(job, action)
            for index, (job, action) in enumerate(zip(jobs, actions, strict=True))
        ]

    async def _change(self, job: _Job) -> str:
        plan = await self._stages.decide(job.change)
        if plan.action in DROPS:
            return await self._dropped(job, plan.action)
        encoded, failures = await self._encode(plan.to_encode)
        failed = [FailedImage(url=failure.image.url, reason=failure.reason) for failure in failures]
        point = compose(plan, encoded, failed, self._clock())
        written = await self._stages.write(point)
        if written is Written.OVERTAKEN and not (failures and await self._is_incomplete(job.change)):
            return Action.STALE
        outcome = self._readable(job.change.event, plan, failures)
        if failures:
            await self._report(job, failures)
        return outcome

    async def _is_incomplete(self, change: Change) -> bool:
        """Whether it was overtaken by this same event, which another worker completed more, but not wholly.

        That worker may be dead before it reports what failed, so it is reported here too: under one key.
        """
        return (await self._stages.decide(change)).action not in DROPS

    async def _encode(self, images: Sequence[Image]) -> tuple[dict[Image, Encoded], list[ImageFailure]]:
        if not images:
            return {}, []
        results = await asyncio.gather(*(self._stages.image(image) for image in images))
        encoded: dict[Image, Encoded] = {}
        failures: list[ImageFailure] = []
        for image, result in zip(images, results, strict=True):
            if isinstance(result, ImageFailure):
                failures.append(result)
            else:
                encoded[image] = result
        return encoded, failures

    def _readable(self, event: Event, plan: Plan, failures: Sequence[ImageFailure]) -> str:
        if failures and len(failures) == len(event.images):
            return "dead_lettered"  # written, but by none of its pictures can it be found
        self._metrics.fresh(event.type, (self._clock() - event.occurred_at).total_seconds())
        return plan.action

    async def _dropped(self, job: _Job, action: Action) -> str:
        if action is not Action.OUT_OF_ORDER:
            return action
        message = f"version: {job.change.event.version} came after a higher one; compaction would keep this event"
        await self._give_up(job.record, job.change.event, Reason.OUT_OF_ORDER, message, "decide")
        return "dead_lettered"

    async def _report(self, job: _Job, failures: Sequence[ImageFailure]) -> None:
        """One dead letter for all of an event's failed pictures: redriving it tries just those again."""
        message = "; ".join(failure.message for failure in failures)
        await self._give_up(job.record, job.change.event, failures[0].reason, message, failures[0].stage)

    async def _give_up(self, record: Record, event: Event | None, reason: Reason, message: str, stage: str) -> None:
        log.warning(
            "dead letter", reason=reason.value, detail=message, partition=record.partition, offset=record.offset
        )
        letter = DeadLetter(
            view=self._settings.view,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            key=record.key,
            value=record.value,
            headers=list(record.headers.items()),
            product_id=event.product_id if event else None,
            reason=reason,
            message=message[:4000],
            stage=stage,
            attempts=1,
            worker_version=self._settings.worker_version,
            time=self._clock(),
        )
        await self._dead_letters.send(letter)
        self._metrics.dead_lettered(reason.value)

    async def __aenter__(self) -> Pipeline:
        await self._turns.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._turns.__aexit__()
