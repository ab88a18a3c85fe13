"""The seven stages of an event: consume, decide, fetch, decode, encode, write, settle. Plain asyncio.

Events flow one by one; batches form only where a batch pays (decide, encode, write), so one slow picture never holds
up its neighbours. Knows neither Faust nor Kafka: the worker hands in records and settles what comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from indexer.compose import Encoded, compose
from indexer.decide import DROPS, Action, Change, Plan, elect
from indexer.store import IndexUnusable
from indexer.writer import Written
from schemas.dead_letters import Reason
from schemas.events import Image, InvalidEvent, VersionScheme, microseconds, read_event
from schemas.headers import InvalidHeader
from schemas.payloads import MAX_ENCODED, FailedImage
from stream.batching import Turns
from stream.dead_letters import DeadLetters
from stream.diversion import OUTCOME as DIVERTED
from stream.diversion import Diversion
from stream.giving_up import GivingUp, Sender, Trouble
from stream.limits import DeadLetterLimit, LimitSettings, TooManyDeadLetters
from stream.metrics import Metrics
from stream.records import Journey, Record, read_journey
from stream.retry import Retries
from stream.stages import ImageFailure, Stages

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PipelineSettings:
    """What a pipeline is for."""

    view: str
    lane: str = "live"
    versions: VersionScheme = "timestamp"
    worker_version: str = "unknown"
    events_topic: str = "catalog.events"
    retry_budget: timedelta = timedelta(hours=24)
    """How long an event may come back, counted from its first trouble; after that it is a dead letter."""
    limits: LimitSettings = field(default_factory=LimitSettings)


@dataclass(frozen=True)
class _Job:
    record: Record
    journey: Journey
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
        retries: Retries,
        metrics: Metrics,
        *,
        diversion: Diversion | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._settings = settings
        self._stages = stages
        self._retries = retries
        self._metrics = metrics
        self._diversion = diversion
        self._clock = clock
        self._limit = DeadLetterLimit(settings.limits)
        sender = Sender(settings.view, settings.lane, settings.events_topic, settings.worker_version)
        self._giving_up = GivingUp(sender, dead_letters, self._limit, metrics, clock=clock)
        self._turns: Turns[_Job, str] = Turns(self._product)

    async def process(self, record: Record) -> str:
        """Return once the record may be settled: what became of it is durable.

        Returns:
            The outcome, as `freshline_events_total` counts it.

        Raises:
            TooManyDeadLetters, IndexUnusable, KafkaException: something is wrong with us, not with this record.
        """
        outcome = await self._process(record)
        self._metrics.settled(outcome)
        log.debug("settled", topic=record.topic, partition=record.partition, offset=record.offset, outcome=outcome)
        return outcome

    async def _process(self, record: Record) -> str:
        if self._diversion is not None and self._diversion.takes(record):
            await self._diversion.divert(record, read_journey(record, self._settings.lane))
            return DIVERTED
        try:
            job = self._read(record)
        except InvalidHeader as error:
            return await self._giving_up.give_up(record, Trouble(Reason.INVALID_EVENT, str(error), "consume"))
        except InvalidEvent as error:
            journey = read_journey(record, self._settings.lane)
            return await self._giving_up.give_up(record, Trouble(error.reason, str(error), "consume"), journey=journey)
        if job.journey.view not in (None, self._settings.view):
            return "other_view"
        try:
            outcome = await self._turns.take(job.change.event.product_id, job)
        except (TooManyDeadLetters, IndexUnusable):
            raise
        except Exception as error:  # a fault of ours: this record's alone, or the limit will tell
            log.exception("internal error", topic=record.topic, partition=record.partition, offset=record.offset)
            return await self._lost(job, Trouble(Reason.INTERNAL, f"{type(error).__name__}: {error}", "process"))
        self._limit.passed()
        return outcome

    def _read(self, record: Record) -> _Job:
        journey = read_journey(record, self._settings.lane)
        appended = journey.source.timestamp_ms
        event = read_event(record.key, record.value, appended, self._settings.versions, self._clock())
        return _Job(record, journey, Change(event, journey.source.offset, force=journey.force))

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
        encoded, failures = await self._encode(plan)
        failed = [FailedImage(url=failure.image.url, reason=failure.reason) for failure in failures]
        point = compose(plan, encoded, failed, self._clock())
        written = await self._stages.write(point)
        if written is Written.OVERTAKEN and not (failures and await self._is_incomplete(job.change)):
            return Action.STALE
        readable = not failures or len(failures) < len(job.change.event.images)
        if readable and not _was_readable(plan):
            age = self._clock() - job.change.event.occurred_at
            self._metrics.fresh(job.journey.lane, job.change.event.type, age.total_seconds())
        unfinished = await self._report(job, failures) if failures else None
        if unfinished == "parked" or not readable:
            return unfinished or "dead_lettered"
        return plan.action

    async def _is_incomplete(self, change: Change) -> bool:
        """Whether it was overtaken by this same event, which another worker completed more, but not wholly.

        That worker may be dead before it reports what failed, so it is reported here too: under one key.
        """
        return (await self._stages.decide(change)).action not in DROPS

    async def _encode(self, plan: Plan) -> tuple[dict[Image, Encoded], list[ImageFailure]]:
        if not plan.to_encode:
            return {}, []
        force = plan.change.force
        results = await asyncio.gather(*(self._stages.image(image, force=force) for image in plan.to_encode))
        encoded: dict[Image, Encoded] = {}
        failures: list[ImageFailure] = []
        for image, result in zip(plan.to_encode, results, strict=True):
            if isinstance(result, ImageFailure):
                failures.append(result)
            else:
                encoded[image] = result
        return encoded, failures

    async def _dropped(self, job: _Job, action: Action) -> str:
        if action is not Action.OUT_OF_ORDER:
            return action
        message = f"version: {job.change.event.version} came after a higher one; compaction would keep this event"
        return await self._lost(job, Trouble(Reason.OUT_OF_ORDER, message, "decide"))

    async def _lost(self, job: _Job, trouble: Trouble) -> str:
        return await self._giving_up.give_up(job.record, trouble, journey=job.journey, event=job.change.event)

    async def _report(self, job: _Job, failures: Sequence[ImageFailure]) -> str:
        """What may pass is parked while its budget lasts; all the rest is one dead letter, so that one redrive does."""
        passing = [failure for failure in failures if failure.passing] if self._has_budget(job.journey) else []
        if passing:
            first_seen = job.journey.first_seen_ms or milliseconds(self._clock())
            await self._retries.park(job.record, job.journey, first_seen)
        lasting = [failure for failure in failures if failure not in passing]
        if lasting:
            message = "; ".join(failure.message for failure in lasting)
            await self._lost(job, Trouble(lasting[0].reason, message, lasting[0].stage))
        return "parked" if passing else "dead_lettered"

    def _has_budget(self, journey: Journey) -> bool:
        if journey.first_seen_ms is None:
            return True
        return milliseconds(self._clock()) - journey.first_seen_ms < self._settings.retry_budget / timedelta(
            milliseconds=1
        )

    async def __aenter__(self) -> Pipeline:
        await self._turns.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._turns.__aexit__()


def _was_readable(plan: Plan) -> bool:
    """Whether this very event was findable before, by some of its pictures: its freshness is counted already."""
    stored, change = plan.stored, plan.change
    if stored is None or (stored.version, stored.revision // MAX_ENCODED) != change.place:
        return False
    return stored.revision % MAX_ENCODED > 0


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since the Unix epoch."""
    return microseconds(moment) // 1000
