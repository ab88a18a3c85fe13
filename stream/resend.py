"""Sending events of `catalog.events` once more, by way of `catalog.replay`: safe at any time, and twice."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, Message

from schemas.headers import ATTEMPTS, FORCE, VIEW, Source
from schemas.topics import Topics
from stream.kafka import KafkaSettings
from stream.publisher import PublishError, discard, producer, queue


class Resender:
    """Queues events for the replay lane. A context manager that flushes at its end; thread-safe."""

    def __init__(self, kafka: KafkaSettings, topics: Topics) -> None:
        self._topic = topics.replay
        self._producer = producer(kafka)
        self._failures: list[str] = []
        self.reached: dict[int, int] = {}
        """By partition of `catalog.replay`, the offset after the last event that the broker has of this resender."""

    def send(
        self,
        key: bytes | None,
        value: bytes | None,
        source: Source,
        *,
        view: str | None = None,
        force: bool = False,
        attempts: int = 0,
    ) -> None:
        """Queue an event; waits while the queue is full.

        Args:
            key: as it stands in `catalog.events`.
            value: likewise.
            source: where it stands there.
            view: the only view that it is meant for; None for all.
            force: nothing of it counts as encoded already.
            attempts: how often it was tried before.
        """
        headers = source.headers()
        if view is not None:
            headers[VIEW] = view.encode()
        if force:
            headers[FORCE] = b"1"
        if attempts:
            headers[ATTEMPTS] = b"%d" % attempts
        queue(self._producer, self._topic, key=key, value=value, headers=headers, on_delivery=self._delivered)

    def flush(self, timeout_seconds: float = 60.0) -> None:
        """Wait until the broker has everything.

        Raises:
            PublishError: some were refused, or are still queued after `timeout_seconds`.
        """
        left = self._producer.flush(timeout_seconds)
        failures, self._failures = self._failures, []
        if left:
            failures.append(f"{left} not acknowledged within {timeout_seconds:g} s")
        if failures:
            raise PublishError(f"{len(failures)} event(s) not sent again: {'; '.join(failures[:3])}")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(error.str())
            return
        partition, offset = message.partition() or 0, message.offset() or 0
        self.reached[partition] = max(offset + 1, self.reached.get(partition, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            discard(self._producer)
