"""The only file that knows Faust: a member of a consumer group, what it is delivered, its rebalances, its commits.

Faust delivers, we settle. Its topics are declared with `acks=False`, because its own acknowledgement loses events (it
acks on exceptions and cancellation, skips a hole of one offset) and crawls on compacted topics; so nothing is ever
acknowledged to Faust, and the only private name used is `consumer._commit_offsets`. `tests/integration/test_worker.py`
holds that against a topic that the broker really compacted.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import faust
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, StreamT
from mode.supervisors import CrashingSupervisor

from stream.kafka import KafkaSettings
from stream.offsets import Partition
from stream.records import Record


class ConsumerFailed(RuntimeError):
    """Kafka can't be reached, or wants nothing of us; the message names it."""


IsCurrent = Callable[[], bool]
"""Whether a record's partition is still ours under the assignment that delivered it."""


class Deliver(Protocol):
    """Takes the next record of its partition; no other is delivered before it returns."""

    async def __call__(self, record: Record, *, is_current: IsCurrent) -> None:
        """`is_current` may be asked at any time while it runs."""


Partitions = frozenset[Partition]


@dataclass(frozen=True)
class ConsumerSettings:
    """What to consume, and as which group."""

    topic: str
    group: str
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    session_timeout_seconds: float = 10.0
    """How long after its death another member gets this one's partitions."""


class Consumer:
    """Delivers one topic's records, from where the group's commits are.

    Args:
        settings: what to consume.
        deliver: see `Deliver`.
        assigned: told the partitions that are ours from now on.
        revoked: told those that are given away once it returns: what is to be committed of them must be by then.
        buffer: records that are fetched ahead of their delivery.
    """

    def __init__(
        self,
        settings: ConsumerSettings,
        deliver: Deliver,
        assigned: Callable[[Partitions], None],
        revoked: Callable[[Partitions], Awaitable[None]],
        *,
        buffer: int,
    ) -> None:
        self._settings = settings
        self._deliver = deliver
        self._assigned = assigned
        self._revoked = revoked
        self._folder = TemporaryDirectory(prefix="freshline-")  # Faust wants one, and would take the working directory
        self._app = _app(settings, self._folder.name, buffer)
        topic = self._app.topic(settings.topic, key_serializer="raw", value_serializer="raw", acks=False)
        self._app.agent(topic, name=f"{settings.group}.intake", supervisor_strategy=CrashingSupervisor)(self._consume)
        self._app.on_partitions_assigned.connect(self._on_assigned)
        self._app.on_partitions_revoked.connect(self._on_revoked)

    @property
    def is_rebalancing(self) -> bool:
        """Whether the group is just sharing out its partitions anew: no time to commit."""
        return self._app.rebalancing

    @property
    def crash_reason(self) -> BaseException | None:
        """Why Faust ended, if it did so by itself."""
        return self._app.crash_reason

    async def start(self) -> None:
        """Join the group.

        Raises:
            ConsumerFailed: see there.
        """
        try:
            await self._app.start()
        except KafkaError as error:
            raise ConsumerFailed(f"Kafka at {self._settings.kafka.brokers}: {error}") from error

    async def ended(self) -> None:
        """Return once Faust has ended, whoever wanted it to."""
        await self._app.wait_until_stopped()

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Commit the offset of each partition's next record; whether the broker took it."""
        by_tp = {TP(partition.topic, partition.number): offset for partition, offset in offsets.items()}
        return bool(await self._app.consumer._commit_offsets(by_tp))  # type: ignore[attr-defined]

    async def stop(self) -> None:
        """Leave the group."""
        await self._app.stop()

    def cleanup(self) -> None:
        """Remove what Faust left on the disk."""
        self._folder.cleanup()

    async def _consume(self, stream: StreamT[Any]) -> None:
        async for event in stream.events():
            message = event.message
            await self._deliver(_record(message), is_current=partial(self._is_current, message))

    def _is_current(self, message: Any) -> bool:
        return message.generation_id == self._app.consumer_generation_id and self._app.flow_control.is_active()

    async def _on_assigned(self, _app: Any, /, *args: Any, **_: Any) -> None:
        self._assigned(_partitions(args[0]))

    async def _on_revoked(self, _app: Any, /, *args: Any, **_: Any) -> None:
        """Faust calls this during a rebalance, before the partitions are given away."""
        await self._revoked(_partitions(args[0]))


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


def _app(settings: ConsumerSettings, folder: str, buffer: int) -> faust.App:
    app = _plain_app(settings, folder, buffer)
    app.transport = _Transport(app.conf.broker_consumer, app)
    return app


def _plain_app(settings: ConsumerSettings, folder: str, buffer: int) -> faust.App:
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
        stream_buffer_maxsize=buffer,
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


def _partitions(of: Iterable[TP]) -> Partitions:
    return frozenset(Partition(tp.topic, tp.partition) for tp in of)


def _record(message: Any) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        timestamp_ms=round(message.timestamp * 1000),
        headers=dict(message.headers or ()),
    )
