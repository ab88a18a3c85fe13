"""Notices a worker that is delivered nothing although there is something: its consumer stands still.

The watchdog sees events in flight only. Whether there is something is asked of the broker, beside the consumer that is
under suspicion; and a record counts, not an offset: behind the last record of a partition there may be offsets that
hold none, of transactions' markers and of what was compacted away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import structlog

from stream.backlog import GroupReader, Offsets
from stream.kafka import KafkaSettings
from stream.monitor.peek import Peeker
from stream.monitor.positions import Position

log = structlog.get_logger(__name__)

TICKS = 10


class Undelivered:
    """For how long, in ticks, a partition has stood at the same commit with a record behind it."""

    def __init__(self) -> None:
        self._ticks: dict[tuple[int, int], int] = {}

    def tick(self, waiting: Offsets) -> int:
        """The ticks of whichever has stood the longest.

        Args:
            waiting: the commits of the partitions that have no excuse.
        """
        self._ticks = {place: self._ticks.get(place, -1) + 1 for place in waiting.items()}
        return max(self._ticks.values(), default=0)


class WaitingReader:
    """Asks the broker where a group has records to do. Blocks: call it in a thread."""

    def __init__(self, kafka: KafkaSettings, topic: str, group: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._group = group
        self._offsets = GroupReader(kafka, topic)

    def read(self, partitions: AbstractSet[int]) -> Offsets:
        """The commits, negative where there is none, of those of these partitions that have a record behind it.

        Raises:
            KafkaException: the broker can't be reached, or refuses.
        """
        ends, committed = self._offsets.read(self._group)
        lagging = {number: _position(ends[number], committed[number]) for number in partitions & ends.keys()}
        lagging = {number: position for number, position in lagging.items() if position.next < position.end}
        return {number: committed[number] for number in self._with_a_record(lagging)}

    def _with_a_record(self, positions: Mapping[int, Position]) -> list[int]:
        if not positions:
            return []
        with Peeker(self._kafka) as peeker:
            return [number for number, first in peeker.firsts(self._topic, positions).items() if first is not None]


def _position(end: int, committed: int) -> Position:
    return Position(0, end, committed if committed >= 0 else None)


class DeliveryWatch:
    """Asks again and again, for as long as a worker works.

    Args:
        idle: the worker's partitions of which nothing is in flight, while nothing keeps it from taking something on.
        read: which of them have records to be done, and at which commit; in a thread.
        seconds: that a partition may stand so; after half of it the worker `is_suspect`.
    """

    def __init__(
        self, idle: Callable[[], AbstractSet[int]], read: Callable[[AbstractSet[int]], Offsets], seconds: float
    ) -> None:
        self._idle = idle
        self._read = read
        self._seconds = seconds
        self._undelivered = Undelivered()
        self._still = 0

    @property
    def is_suspect(self) -> bool:
        """Whether a partition stood for half the time that it has. May be asked from any thread."""
        return 2 * self._still >= TICKS

    async def stuck(self) -> str:
        """Return once a partition stood for too long; why that is."""
        while self._still < TICKS:
            await asyncio.sleep(self._seconds / TICKS)
            self._still = self._undelivered.tick(await self._waiting())
        return f"records wait, but none was delivered in {self._seconds:g} s, and nothing is away"

    async def _waiting(self) -> Offsets:
        idle = self._idle()
        try:
            return await asyncio.to_thread(self._read, idle) if idle else {}
        except Exception as error:  # mostly Kafka's being away: no fault of ours
            log.debug("what waits is not known", error=repr(error))
            return {}
