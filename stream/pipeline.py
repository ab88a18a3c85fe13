"""The seven stages of an event: consume, decide, fetch, decode, encode, write, settle. Plain asyncio.

Events flow one by one; batches form only where a batch pays (decide, encode, write), so one slow picture never holds
up its neighbours. Knows neither Faust nor Kafka: the worker hands in records and settles what comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from indexer.compose import Encoded, compose
from indexer.decide import DROPS, Action, Change, Plan, elect
from indexer.store import IndexUnusable
from indexer.writer import Written
from schemas.dead_letters import Reason
from schemas.events import Event, Image, InvalidEvent, VersionScheme, microseconds, read_event
from schemas.headers import InvalidHeader
from schemas.payloads import MAX_ENCODED, FailedImage
from stream.batching import Turns
from stream.dead_letters import DeadLetters
from stream.diversion import OUTCOME as DIVERTED
from stream.diversion import Diversion
from stream.freshness import Laps, Tally
from stream.giving_up import GivingUp, Sender, Trouble
from stream.limits import DeadLetterLimit, LimitSettings, TooManyDeadLetters
from stream.metrics import Metrics
from stream.records import Journey, Record, read_journey
from stream.retry import Retries
from stream.stages import ImageFailure, Stages
from stream.trail import Followed, Trail, follow, is_debugging, note, settled, step

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
    followed: Followed = field(default_factory=Followed)
    """Products whose way through the pipeline is logged."""


@dataclass(frozen=True)
class _Job:
    record: Record
    journey: Journey
    change: Change
    laps: Laps
    tally: Tally
    trail: Trail


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
        settled(outcome)
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
        follow(job.trail)
        if job.journey.view not in (None, self._settings.view):
            return "other_view"
        try:
            outcome = await self._turns.take(job.change.event.product_id, job)
        except (TooManyDeadLetters, IndexUnusable):
            raise
        except Exception as error:  # a fault of ours: this record's alone, or the limit will tell
            log.exception("internal error")
            outcome = await self._lost(job, Trouble(Reason.INTERNAL, f"{type(error).__name__}: {error}", "process"))
            job.tally.given_up()
            return outcome
        self._limit.passed()
        return outcome

    def _read(self, record: Record) -> _Job:
        journey = read_journey(record, self._settings.lane)
        appended = journey.source.timestamp_ms
        self._stages.heard(self._clock().timestamp() - appended / 1000)
        event = read_event(record.key, record.value, appended, self._settings.versions, self._clock())
        laps = Laps(event, journey, lambda: self._clock().timestamp())
        tally = Tally(self._metrics, event, journey, laps)
        change = Change(event, journey.source.offset, force=journey.force)
        return _Job(record, journey, change, laps, tally, self._trail(event, journey))

    def _trail(self, event: Event, journey: Journey) -> Trail:
        followed = event.product_id in self._settings.followed
        return Trail(
            self._settings.view,
            self._settings.lane,
            journey.source,
            event.event_id,
            event.product_id,
            followed=followed,
            timed=followed or is_debugging(),
        )

    async def _product(self, jobs: Sequence[_Job]) -> list[str]:
        """All waiting events of one product: the newest is done, the others are only reported."""
        for job in jobs:
            job.laps.end("turn")
        if len(jobs) == 1:
            return [await self._change(jobs[0])]
        winner, actions = elect([job.change for job in jobs])
        done = await self._change(jobs[winner])
        return [
            done if index == winner else await self._dropped(job, action)
            for index, (job, action) in enumerate(zip(jobs, actions, strict=True))
        ]

    async def _change(self, job: _Job) -> str:
        follow(job.trail)  # its turn may be one that another event began
        with step("decide"):
            plan = await self._stages.decide(job.change)
        job.laps.end("decide")
        note("planned", action=plan.action.value, images=len(plan.to_encode))
        if plan.action in DROPS:
            return await self._dropped(job, plan.action)
        encoded, failures = await self._encode(plan, job.laps)
        failed = [FailedImage(url=failure.image.url, reason=failure.reason) for failure in failures]
        point = compose(plan, encoded, failed, self._clock())
        with step("write"):
            written = await self._stages.write(point)
        job.laps.end("write")
        if written is Written.OVERTAKEN and not (failures and await self._is_incomplete(job.change)):
            return Action.STALE
        job.tally.counted |= written is Written.OVERTAKEN or _was_readable(plan)
        readable = not failures or len(failures) < len(job.change.event.images)
        if readable:
            job.tally.readable()
        unfinished = await self._report(job, failures) if failures else None
        if unfinished == "parked" or not readable:
            return unfinished or "dead_lettered"
        return plan.action

    async def _is_incomplete(self, change: Change) -> bool:
        """Whether it was overtaken by this same event, which another worker completed more, but not wholly.

        That worker may be dead before it reports what failed, so it is reported here too: under one key.
        """
        return (await self._stages.decide(change)).action not in DROPS

    async def _encode(self, plan: Plan, laps: Laps) -> tuple[dict[Image, Encoded], list[ImageFailure]]:
        if not plan.to_encode:
            return {}, []
        had = partial(self._stages.image, force=plan.change.force, ended=laps.end)
        results = await asyncio.gather(*map(had, plan.to_encode))
        encoded: dict[Image, Encoded] = {}
        failures: list[ImageFailure] = []
        for image, result in zip(plan.to_encode, results, strict=True):
            if isinstance(result, ImageFailure):
                failures.append(result)
            else:
                encoded[image] = result
        return encoded, failures

    async def _dropped(self, job: _Job, action: Action) -> str:
        follow(job.trail)
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
            job.tally.parked()
            await self._retries.park(job.record, replace(job.journey, counted=job.tally.counted), first_seen)
            log.info("parked", attempts=job.journey.attempts + 1, detail="; ".join(each.message for each in passing))
        lasting = [failure for failure in failures if failure not in passing]
        if lasting:
            message = "; ".join(failure.message for failure in lasting)
            await self._lost(job, Trouble(lasting[0].reason, message, lasting[0].stage))
            if any(failure.passing for failure in lasting):
                job.tally.given_up()
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
