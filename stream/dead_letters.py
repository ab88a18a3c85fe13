"""Giving up on a record, durably."""

from __future__ import annotations

from typing import Protocol

from schemas.dead_letters import DeadLetter
from stream.outbox import Outbox


class DeadLetters(Protocol):
    """Where dead letters go."""

    async def send(self, letter: DeadLetter) -> None:
        """Return once it is durable."""


class KafkaDeadLetters:
    """The dead-letter topic."""

    def __init__(self, outbox: Outbox, topic: str) -> None:
        self._outbox = outbox
        self._topic = topic

    async def send(self, letter: DeadLetter) -> None:
        """Return once all in-sync replicas have it.

        Raises:
            KafkaException: the broker refused it.
        """
        await self._outbox.send(self._topic, key=letter.record_key, value=letter.model_dump_json().encode())
