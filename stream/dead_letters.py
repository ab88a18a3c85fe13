"""Giving up on a record, durably."""

from __future__ import annotations

import asyncio
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message

from schemas.dead_letters import DeadLetter
from schemas.topics import MAX_DEAD_LETTER_BYTES
from stream.kafka import KafkaSettings
from stream.publisher import producer


class DeadLetters(Protocol):
    """Where dead letters go."""

    async def send(self, letter: DeadLetter) -> None:
        """Return once it is durable."""


class KafkaDeadLetters:
    """The dead-letter topic. Waits as long as Kafka is away: a record is never dropped for that."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        limits = {"message.timeout.ms": 0, "message.max.bytes": MAX_DEAD_LETTER_BYTES}
        self._producer = producer(kafka, **limits)
        self._topic = topic

    async def send(self, letter: DeadLetter) -> None:
        """Return once all in-sync replicas have it.

        Raises:
            KafkaException: the broker refused it.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def delivered(error: KafkaError | None, _: Message) -> None:
            def finish() -> None:
                if not done.done():
                    done.set_exception(KafkaException(error)) if error else done.set_result(None)

            loop.call_soon_threadsafe(finish)

        value = letter.model_dump_json().encode()
        self._producer.produce(self._topic, key=letter.record_key, value=value, on_delivery=delivered)
        while not done.done():  # in short turns, so that a worker that must leave is not kept
            await asyncio.to_thread(self._producer.poll, 0.1)
            await asyncio.sleep(0)
        await done

    def close(self) -> None:
        """Drop the connection."""
        self._producer.close()
