"""Publishing catalogue events: what a catalogue service calls when a product changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, Message, Producer

from schemas.events import Event
from schemas.headers import BULK
from schemas.topics import Topics
from stream.kafka import KafkaSettings

PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    # As Java clients partition: librdkafka's default disagrees with them for most keys, and a product whose events
    # are in two partitions has no order.
    "partitioner": "murmur2_random",
    "linger.ms": 5,
    "compression.type": "lz4",
}


log = logging.getLogger("librdkafka")


def producer(kafka: KafkaSettings, **overrides: object) -> Producer:
    """A producer as all of ours are; what librdkafka has to say goes to the logger of that name."""
    return Producer(kafka.librdkafka() | PRODUCER | overrides, logger=log)


def queue(to: Producer, topic: str, **record: Any) -> None:
    """Queue a record; waits while the queue is full."""
    while True:
        try:
            to.produce(topic, **record)
        except BufferError:  # let deliveries make room
            to.poll(0.1)
        else:
            to.poll(0)
            return


def discard(given: Producer) -> None:
    """Close at once and drop what is queued: its `close` alone waits for that, for as long as Kafka is away."""
    given.purge()
    given.close()


class PublishError(RuntimeError):
    """Events that the broker did not take; the message counts them and says why."""


@dataclass(frozen=True)
class PublisherSettings:
    """Where events go."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    topics: Topics = field(default_factory=Topics)


class Publisher:
    """Sends events to `catalog.events`: idempotent, acknowledged by all in-sync replicas, keyed by product id.

    Use as a context manager, or call `flush` before leaving: `publish` only queues. Thread-safe.
    """

    def __init__(self, settings: PublisherSettings | None = None) -> None:
        self._settings = settings or PublisherSettings()
        self._producer = producer(self._settings.kafka)
        self._failures: list[str] = []

    def publish(self, event: Event, *, bulk: bool = False, on_delivery: Callable[[], None] | None = None) -> None:
        """Queue an event; waits while the queue is full.

        Args:
            event: keyed by its product id.
            bulk: part of an import, to be indexed when live products leave room.
            on_delivery: called, from `publish` or `flush`, once the broker has the event.

        Raises:
            InvalidEvent: its JSON is larger than the contract allows.
        """
        event_id = event.event_id  # all that is kept of it while it is queued

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self._failures.append(f"{event_id}: {error.str()}")
            elif on_delivery is not None:
                on_delivery()

        headers: dict[str, str | bytes | None] = {BULK: b"1"} if bulk else {}
        self._produce(event.product_id.encode(), event.to_json(), headers, delivered)

    def publish_tombstone(self, product_id: str) -> None:
        """Queue a null value: a delete at the time that the broker appends it."""
        self._produce(product_id.encode(), None, {}, lambda _error, _message: None)

    def _produce(
        self,
        key: bytes,
        value: bytes | None,
        headers: dict[str, str | bytes | None],
        delivered: Callable[[KafkaError | None, Message], None],
    ) -> None:
        topic = self._settings.topics.events
        queue(self._producer, topic, key=key, value=value, headers=headers, on_delivery=delivered)

    def flush(self, timeout_seconds: float = 60.0) -> None:
        """Wait until the broker has every queued event.

        Raises:
            PublishError: some were refused, or are still queued after `timeout_seconds`.
        """
        left = self._producer.flush(timeout_seconds)
        failures, self._failures = self._failures, []
        if left:
            failures.append(f"{left} not acknowledged within {timeout_seconds:g} s")
        if failures:
            raise PublishError(f"{len(failures)} event(s) not published: {'; '.join(failures[:3])}")

    def close(self) -> None:
        """Drop the connection; what is queued and not flushed is lost."""
        discard(self._producer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            self.close()
