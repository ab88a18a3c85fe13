"""The only file that knows Faust: consuming a topic, rebalances, commits, shutdown.

Faust delivers, we settle. Its topics are declared with `acks=False`, because its own acknowledgement loses events (it
acks on exceptions and cancellation, skips a hole of one offset) and crawls on compacted topics; so nothing is ever
acknowledged to Faust, and the only private name used is `consumer._commit_offsets`. `tests/integration/test_worker.py`
holds that against a topic that the broker really compacted.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Coroutine, Generator, Iterable
from dataclasses import dataclass, field
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, StreamT
from mode.supervisors import CrashingSupervisor

from stream.delivery import DeliveryWatch, WaitingReader
from stream.health import Health
from stream.intake import Intake
from stream.kafka import KafkaSettings
from stream.offsets import Partition
from stream.pipeline import Pipeline
from stream.records import Record
from stream.retry import seconds_until_due
from stream.watchdog import Watchdog

log = structlog.get_logger(__name__)


class WorkerFailed(RuntimeError):
    """The worker can't go on; nothing is lost, what was in flight will be delivered again."""


@dataclass(frozen=True)
class WorkerSettings:
    """What to consume, as which group, and how patiently."""

    topic: str
    group: str
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    max_in_flight: int = 384
    drain_seconds: float = 10.0
    """How long a shutdown or a rebalance waits for events in flight; far below the rebalance timeout."""
    session_timeout_seconds: float = 10.0
    """How long after its death another worker gets this one's partitions."""
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
        waiting = WaitingReader(settings.kafka, settings.topic, settings.group)
        self._delivery = DeliveryWatch(self._idle, waiting.read, settings.stuck_seconds)
        self._commit_lock = asyncio.Lock()
        self._stop = asyncio.Event()
        self._assigned = asyncio.Event()
        self._partitions: frozenset[int] = frozenset()
        self._is_delaying = False
        self._folder = TemporaryDirectory(prefix="freshline-")  # Faust wants one, and would take the working directory
        self._app = _app(settings, self._folder.name)
        topic = self._app.topic(settings.topic, key_serializer="raw", value_serializer="raw", acks=False)
        self._app.agent(topic, name=f"{settings.group}.intake", supervisor_strategy=CrashingSupervisor)(self._consume)
        self._app.on_partitions_assigned.connect(self._on_assigned)
        self._app.on_partitions_revoked.connect(self._on_revoked)

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
            WorkerFailed: Faust crashed, an event met an error of ours, or it was stuck.
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
                self._folder.cleanup()
        if not stopped:
            raise WorkerFailed(f"stopped by an error: {_reason(done) or self._app.crash_reason}")

    def _endings(self) -> list[Coroutine[Any, Any, Any]]:
        """What ends the worker although nobody asked it to stop."""
        crash = self._app.wait_until_stopped()
        return [self._intake.failure(), crash, self._commits(), self._watchdog.stuck(), self._undelivered()]

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
            await self._app.start()
        except KafkaError as error:
            raise WorkerFailed(f"Kafka at {self._settings.kafka.brokers}: {error}") from error

    async def _leave(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._intake.close(self._settings.drain_seconds)
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._commit()
                await self._app.stop()
        except Exception as error:
            log.warning("left without a last commit; what is not committed will be delivered again", error=repr(error))

    async def _consume(self, stream: StreamT[Any]) -> None:
        async for event in stream.events():
            message = event.message
            if self._settings.delay_seconds:
                await self._delay(message)
            await self._intake.accept(_record(message), is_current=partial(self._is_current, message))

    async def _delay(self, message: Any) -> None:
        self._is_delaying = True
        await asyncio.sleep(seconds_until_due(_milliseconds(message), self._settings.delay_seconds, _now()))
        self._is_delaying = False

    def _is_current(self, message: Any) -> bool:
        return message.generation_id == self._app.consumer_generation_id and self._app.flow_control.is_active()

    async def _on_assigned(self, _app: Any, /, *args: Any, **_: Any) -> None:
        assigned: Iterable[TP] = args[0]
        self._partitions = frozenset(tp.partition for tp in assigned)
        self._assigned.set()

    async def _on_revoked(self, _app: Any, /, *args: Any, **_: Any) -> None:
        """Faust calls this during a rebalance, before the partitions are given away: commit what can be finished."""
        self._assigned.clear()
        revoked: Iterable[TP] = args[0]
        partitions = [Partition(tp.topic, tp.partition) for tp in revoked]
        if left := await self._intake.drain(self._settings.drain_seconds):
            log.warning("drain deadline passed in a rebalance; unfinished events will be delivered again", events=left)
        await self._commit()
        self._intake.revoke(partitions)
        log.info("partitions revoked", partitions=len(partitions))

    async def _commits(self) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval_seconds)
            if not self._app.rebalancing:
                await self._commit()

    async def _commit(self) -> None:
        async with self._commit_lock:
            offsets = self._intake.frontier.committable()
            if not offsets:
                return
            by_tp = {TP(partition.topic, partition.number): offset for partition, offset in offsets.items()}
            commit = self._app.consumer._commit_offsets(by_tp)  # type: ignore[attr-defined]
            if await self._health.watch("kafka", commit):
                self._intake.frontier.committed(offsets)


class _Begun:
    """A coroutine that was begun elsewhere and now waits: awaited, it goes on."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            yield self._waits_for
        except BaseException:
            self._coroutine.close()
            raise
        return (yield from self._coroutine.__await__())


class _Consumer(driver.Consumer):
    """Faust's consumer, at a fifth of its price for each record.

    Faust makes four tasks to deliver a record, so that it can stop while the agent's queue is full. It hardly ever is:
    the delivery is begun at once, and only one that has to wait is waited for as Faust does it.
    """

    async def wait_first(self, *coros: Any, **options: Any) -> Any:
        first, *others = coros
        if options or not asyncio.iscoroutine(first):
            return await super().wait_first(*coros, **options)
        try:
            waits_for = first.send(None)
        except StopIteration:
            for other in others:
                other.close()
            return None
        return await super().wait_first(_Begun(first, waits_for), *others)


class _Transport(driver.Transport):
    Consumer = _Consumer


def _app(settings: WorkerSettings, folder: str) -> faust.App:
    app = _plain_app(settings, folder)
    app.transport = _Transport(app.conf.broker_consumer, app)
    return app


def _plain_app(settings: WorkerSettings, folder: str) -> faust.App:
    return faust.App(
        settings.group,
        datadir=folder,
        broker=settings.kafka.faust_urls(),
        broker_credentials=_credentials(settings.kafka),
        store="memory://",
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        # Longer than any hold: a worker that waits for Qdrant must not lose its partitions to one that would wait too.
        broker_max_poll_interval=7 * 24 * 3600.0,
        broker_commit_livelock_soft_timeout=7 * 24 * 3600.0,
        broker_commit_interval=3600.0,  # there is nothing that Faust could commit
        stream_buffer_maxsize=settings.max_in_flight,
        stream_wait_empty=False,  # we drain, with a deadline
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )


def _credentials(kafka: KafkaSettings) -> Any:
    if kafka.security_protocol == "PLAINTEXT":
        return None
    context = ssl.create_default_context(cafile=kafka.ssl_ca) if kafka.security_protocol.endswith("SSL") else None
    if kafka.security_protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=kafka.sasl_username,
        password=kafka.sasl_password,
        mechanism=kafka.sasl_mechanism,
        ssl_context=context,
    )


def _record(message: Any) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        timestamp_ms=_milliseconds(message),
        headers=dict(message.headers or ()),
    )


def _reason(done: set[asyncio.Task[Any]]) -> BaseException | None:
    return next((error for task in done if (error := task.exception())), None)


def _milliseconds(message: Any) -> int:
    milliseconds: int = round(message.timestamp * 1000)
    return milliseconds


def _now() -> int:
    return time.time_ns() // 1_000_000
