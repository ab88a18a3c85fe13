"""Parking an event whose image host is ill: it comes again after a while, by the retry lane."""

from __future__ import annotations

from typing import Protocol

from schemas.headers import ATTEMPTS, COUNTED, FIRST_SEEN, FORCE, LANE, VIEW
from stream.outbox import Outbox
from stream.records import Journey, Record


class Retries(Protocol):
    """Where parked events go."""

    async def park(self, record: Record, journey: Journey, first_seen_ms: int) -> None:
        """Return once it is durable.

        Args:
            record: with the event, of any lane.
            journey: up to this attempt.
            first_seen_ms: when it met trouble for the first time.
        """


class KafkaRetries:
    """The retry topic, for one view. Its delay is constant, so that the order of offsets is the order of due times."""

    def __init__(self, outbox: Outbox, topic: str, view: str) -> None:
        self._outbox = outbox
        self._topic = topic
        self._view = view.encode()

    async def park(self, record: Record, journey: Journey, first_seen_ms: int) -> None:
        """Return once all in-sync replicas have it.

        Raises:
            KafkaException: the broker refused it.
        """
        headers = journey.source.headers() | {
            VIEW: self._view,
            LANE: journey.lane.encode(),
            FIRST_SEEN: b"%d" % first_seen_ms,
            ATTEMPTS: b"%d" % (journey.attempts + 1),
        }
        if journey.force:
            headers[FORCE] = b"1"
        if journey.counted:
            headers[COUNTED] = b"1"
        await self._outbox.send(self._topic, key=record.key, value=record.value, headers=headers)


def seconds_until_due(parked_ms: int, delay_seconds: float, now_ms: int) -> float:
    """How long a parked event has to wait still. Never longer than the delay, whatever the clocks say."""
    return min(max(0.0, delay_seconds - (now_ms - parked_ms) / 1000), delay_seconds)
