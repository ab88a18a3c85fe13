"""Records for our own topics: what is sent is durable when `send` returns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from threading import Event, Thread
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message

from schemas.topics import MAX_DEAD_LETTER_BYTES
from stream.health import Health
from stream.kafka import KafkaSettings
from stream.publisher import discard, producer


class Outbox:
    """Waits as long as Kafka is away: nothing is dropped for that. A context manager; `send` may be cancelled."""

    def __init__(self, kafka: KafkaSettings, health: Health) -> None:
        limits = {"message.timeout.ms": 0, "message.max.bytes": MAX_DEAD_LETTER_BYTES}
        self._producer = producer(kafka, **limits)
        self._health = health
        self._closed = Event()
        self._poller = Thread(target=self._poll, name="outbox", daemon=True)

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes | None] | None = None
    ) -> None:
        """Return once all in-sync replicas have it.

        Raises:
            KafkaException: the broker refused it.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def finish(error: KafkaError | None) -> None:
            if not done.done():
                done.set_exception(KafkaException(error)) if error else done.set_result(None)

        def delivered(error: KafkaError | None, _: Message) -> None:
            if not loop.is_closed():  # whoever sent it has left without waiting
                loop.call_soon_threadsafe(finish, error)

        await self._queue(topic, key=key, value=value, headers=dict(headers or {}), on_delivery=delivered)
        await self._health.watch("kafka", done)

    async def _queue(self, topic: str, **record: object) -> None:
        while True:
            try:
                self._producer.produce(topic, **record)  # type: ignore[arg-type]
            except BufferError:  # the poller makes room
                await asyncio.sleep(0.1)
            else:
                return

    def _poll(self) -> None:
        while not self._closed.is_set():
            self._producer.poll(0.1)

    def __enter__(self) -> Self:
        self._poller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._closed.set()
        self._poller.join()
        discard(self._producer)
