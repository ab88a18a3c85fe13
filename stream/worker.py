"""One worker from its start to its end: records into the pipeline, commits, rebalances, shutdown.

The consumer delivers, we settle: see `stream/consumer.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from stream.consumer import Consumer, ConsumerFailed, ConsumerSettings, IsCurrent, Partitions
from stream.delivery import DeliveryWatch, WaitingReader
from stream.health import Health
from stream.intake import Intake
from stream.pipeline import Pipeline
from stream.records import Record
from stream.retry import seconds_until_due
from stream.watchdog import Watchdog

log = structlog.get_logger(__name__)


class WorkerFailed(RuntimeError):
    """The worker can't go on; nothing is lost, what was in flight will be delivered again."""


@dataclass(frozen=True)
class WorkerSettings:
    """What to consume, and how patiently."""

    consumer: ConsumerSettings
    max_in_flight: int = 384
    drain_seconds: float = 10.0
    """How long a shutdown or a rebalance waits for events in flight; far below the rebalance timeout."""
    commit_interval_seconds: float = 0.5
    delay_seconds: float = 0.0
    """From a record's append to the start of work on it: the retry lane's."""
    stuck_seconds: float = 300.0
    """Without headway, after which it ends itself."""


class Worker:
    """Consumes one topic into a pipeline until it is stopped."""

    def __init__(self, settings: WorkerSettings, pipeline: Pipeline, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._pipeline = pipeline
        self._intake = Intake(pipeline.process, settings.max_in_flight)
        leaving = 3 * settings.drain_seconds + 5  # longer than `_leave` takes
        self._watchdog = Watchdog(self._intake, health, settings.stuck_seconds, leaving)
        consuming = settings.consumer
        waiting = WaitingReader(consuming.kafka, consuming.topic, consuming.group)
        self._delivery = DeliveryWatch(self._idle, waiting.read, settings.stuck_seconds)
        self._commit_lock = asyncio.Lock()
        self._stop = asyncio.Event()
        self._assigned = asyncio.Event()
        self._partitions: frozenset[int] = frozenset()
        self._is_delaying = False
        self._consumer = Consumer(
            consuming, self._deliver, self._on_assigned, self._on_revoked, buffer=settings.max_in_flight
        )

    @property
    def in_flight(self) -> int:
        """Events delivered and not settled."""
        return self._intake.in_flight

    def allow(self, most: int) -> None:
        """Take on at most so many events at once from now on; none while it is 0."""
        self._intake.allow(most)

    def stop(self) -> None:
        """Ask `run` to drain, commit and return. For a signal handler."""
        self._stop.set()

    def waits_for(self) -> list[str]:
        """Why it does not get on; empty when it is ready. May be asked from any thread."""
        reasons: list[str] = [] if self._assigned.is_set() else ["partitions"]
        if self._watchdog.is_suspect:
            reasons.append("stuck")
        if self._delivery.is_suspect:
            reasons.append("lag")
        return [*reasons, *self._health.away]

    def is_stuck(self) -> bool:
        """Whether it makes no headway, and will end itself if that goes on. May be asked from any thread."""
        return self._watchdog.is_suspect or self._delivery.is_suspect

    async def assigned(self) -> None:
        """Return once the group has given this worker its partitions."""
        await self._assigned.wait()

    async def run(self) -> None:
        """Work until `stop` is called.

        Raises:
            WorkerFailed: the consumer crashed, an event met an error of ours, or it was stuck.
        """
        async with self._watchdog:
            await self._run()

    async def _run(self) -> None:
        async with self._pipeline:
            await self._start()
            tasks = [asyncio.create_task(work) for work in (self._stop.wait(), *self._endings())]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                stopped = tasks[0] in done
            finally:
                await self._leave(tasks)
                self._consumer.cleanup()
        if not stopped:
            raise WorkerFailed(f"stopped by an error: {_reason(done) or self._consumer.crash_reason}")

    def _endings(self) -> list[Coroutine[Any, Any, Any]]:
        """What ends the worker although nobody asked it to stop."""
        return [
            self._intake.failure(),
            self._consumer.ended(),
            self._commits(),
            self._watchdog.stuck(),
            self._undelivered(),
        ]

    async def _undelivered(self) -> None:
        raise self._watchdog.give_up(await self._delivery.stuck())

    def _idle(self) -> frozenset[int]:
        """The partitions of which nothing is in flight, while nothing keeps us from taking something on."""
        kept = self._health.away or self._is_delaying or not self._intake.has_room or not self._assigned.is_set()
        if kept:
            return frozenset()
        return self._partitions - {partition.number for partition in self._intake.frontier.unfinished()}

    async def _start(self) -> None:
        try:
            await self._consumer.start()
        except ConsumerFailed as error:
            raise WorkerFailed(str(error)) from error

    async def _leave(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._intake.close(self._settings.drain_seconds)
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._commit()
                await self._consumer.stop()
        except Exception as error:
            log.warning("left without a last commit; what is not committed will be delivered again", error=repr(error))

    async def _deliver(self, record: Record, *, is_current: IsCurrent) -> None:
        if self._settings.delay_seconds:
            await self._delay(record)
        await self._intake.accept(record, is_current=is_current)

    async def _delay(self, record: Record) -> None:
        self._is_delaying = True
        await asyncio.sleep(seconds_until_due(record.timestamp_ms, self._settings.delay_seconds, _now()))
        self._is_delaying = False

    def _on_assigned(self, partitions: Partitions) -> None:
        self._partitions = frozenset(partition.number for partition in partitions)
        self._assigned.set()

    async def _on_revoked(self, partitions: Partitions) -> None:
        """Commit what can be finished while the partitions are still ours."""
        self._assigned.clear()
        if left := await self._intake.drain(self._settings.drain_seconds):
            log.warning("drain deadline passed in a rebalance; unfinished events will be delivered again", events=left)
        await self._commit()
        self._intake.revoke(partitions)
        log.info("partitions revoked", partitions=len(partitions))

    async def _commits(self) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval_seconds)
            if not self._consumer.is_rebalancing:
                await self._commit()

    async def _commit(self) -> None:
        async with self._commit_lock:
            offsets = self._intake.frontier.committable()
            if not offsets:
                return
            if await self._health.watch("kafka", self._consumer.commit(offsets)):
                self._intake.frontier.committed(offsets)


def _reason(done: set[asyncio.Task[Any]]) -> BaseException | None:
    return next((error for task in done if (error := task.exception())), None)


def _now() -> int:
    return time.time_ns() // 1_000_000
