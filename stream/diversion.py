"""An import's events leave the live lane of the serving view for the replay lane, so that live products don't wait."""

from __future__ import annotations

from typing import Protocol

from schemas.events import MAX_EVENT_BYTES
from schemas.headers import BULK, VIEW
from stream.outbox import Outbox
from stream.records import Journey, Record
from stream.serving import Serving

OUTCOME = "diverted"


class Diversion(Protocol):
    """Where a live lane's bulk events go."""

    def takes(self, record: Record) -> bool:
        """Whether this record is to be diverted now."""

    async def divert(self, record: Record, journey: Journey) -> None:
        """Return once it is durable in the other lane."""


class KafkaDiversion:
    """To the replay topic, for one view and while it serves.

    A view that is being built works them off in place, as it does when its alias is switched or asked for late: each
    view's own live lane answers for every event, so the diverted one is addressed to this view alone.
    """

    def __init__(self, outbox: Outbox, topic: str, view: str, serving: Serving) -> None:
        self._outbox = outbox
        self._topic = topic
        self._view = view
        self._serving = serving

    def takes(self, record: Record) -> bool:
        """Also of events that are no good: their dead letters need no hurry. Not what the topic might refuse."""
        size = len(record.key or b"") + len(record.value or b"")
        return BULK in record.headers and self._serving.view == self._view and size <= MAX_EVENT_BYTES

    async def divert(self, record: Record, journey: Journey) -> None:
        """Return once all in-sync replicas have it.

        Raises:
            KafkaException: the broker refused it. Something is wrong with us: no event is given up for that.
        """
        headers = journey.source.headers() | {VIEW: self._view.encode()}
        await self._outbox.send(self._topic, key=record.key, value=record.value, headers=headers)
