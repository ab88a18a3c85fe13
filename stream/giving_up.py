"""Giving up on a record: within limits, under its event's own place in `catalog.events`, durably, counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from schemas.dead_letters import DeadLetter, Reason
from schemas.events import Event
from schemas.headers import Source
from stream.dead_letters import DeadLetters
from stream.limits import DeadLetterLimit
from stream.metrics import Metrics
from stream.records import Journey, Record

log = structlog.get_logger(__name__)

OUTCOME = "dead_lettered"


@dataclass(frozen=True)
class Trouble:
    """Why a record is given up on, and at which stage."""

    reason: Reason
    message: str
    stage: str


@dataclass(frozen=True)
class Sender:
    """What each letter of a worker says of the worker."""

    view: str
    lane: str
    events_topic: str
    worker_version: str


class GivingUp:
    """The last way out of a pipeline."""

    def __init__(
        self,
        sender: Sender,
        dead_letters: DeadLetters,
        limit: DeadLetterLimit,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._sender = sender
        self._dead_letters = dead_letters
        self._limit = limit
        self._metrics = metrics
        self._clock = clock

    async def give_up(
        self, record: Record, trouble: Trouble, *, journey: Journey | None = None, event: Event | None = None
    ) -> str:
        """Return the outcome once the dead letter is durable.

        Args:
            record: to be settled then.
            trouble: for the letter.
            journey: None if the record doesn't say where its event comes from; the letter then names the record.
            event: None if there is none in the record.

        Raises:
            TooManyDeadLetters: the record is not given up on.
        """
        self._limit.failed(trouble.reason)
        letter = self._letter(record, trouble, journey, event)
        log.warning("dead letter", reason=trouble.reason.value, detail=trouble.message, key=letter.record_key.decode())
        await self._dead_letters.send(letter)
        self._metrics.dead_lettered(trouble.reason.value)
        return OUTCOME

    def _letter(self, record: Record, trouble: Trouble, journey: Journey | None, event: Event | None) -> DeadLetter:
        place = journey.source if journey else Source(record.partition, record.offset, record.timestamp_ms)
        return DeadLetter(
            view=self._sender.view,
            topic=self._sender.events_topic if journey else record.topic,
            partition=place.partition,
            offset=place.offset,
            timestamp_ms=place.timestamp_ms,
            key=record.key,
            value=record.value,
            headers=list(record.headers.items()),
            product_id=event.product_id if event else None,
            reason=trouble.reason,
            message=trouble.message[:4000],
            stage=trouble.stage,
            attempts=journey.attempts + 1 if journey else 1,
            worker_version=self._sender.worker_version,
            time=self._clock(),
            lane=journey.lane if journey else self._sender.lane,
        )
