"""Which offsets may be committed: an event is settled when it is durable, and only in the order of its partition.

Knows neither Faust nor Kafka. Why not Faust's own acknowledgement: docs/walkthrough.md, "Settle".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Partition(NamedTuple):
    """A topic's partition."""

    topic: str
    number: int


class Ticket:
    """One event in flight. Settling it lets its partition's frontier move, once all before it are settled too."""

    __slots__ = ("_log", "offset", "settled")

    def __init__(self, log: _Log, offset: int) -> None:
        self._log = log
        self.offset = offset
        self.settled = False

    def settle(self) -> None:
        """The event's point, dead letter or retry is durable. Has no effect on a partition taken away since."""
        self.settled = True
        self._log.advance()


class _Log:
    """One partition since its assignment; a new assignment gets a new one, so that old tickets move nothing."""

    def __init__(self) -> None:
        self.waiting: deque[Ticket] = deque()
        self.opened = -1
        self.position: int | None = None  # the offset to commit: of the next event to be done
        self.committed: int | None = None

    def advance(self) -> None:
        # Only delivered offsets are queued, so the gaps that compaction leaves are passed over without a thought.
        while self.waiting and self.waiting[0].settled:
            self.position = self.waiting.popleft().offset + 1


class Frontier:
    """The partitions assigned to this worker, and how far each may be committed. Single-threaded."""

    def __init__(self) -> None:
        self._logs: dict[Partition, _Log] = {}

    def open(self, partition: Partition, offset: int) -> Ticket | None:
        """Take note of a delivered event, in the order of delivery; None if this offset was delivered already."""
        log = self._logs.setdefault(partition, _Log())
        if offset <= log.opened:
            return None
        log.opened = offset
        ticket = Ticket(log, offset)
        log.waiting.append(ticket)
        return ticket

    def unfinished(self) -> set[Partition]:
        """Where something is in flight."""
        return {partition for partition, log in self._logs.items() if log.waiting}

    def committable(self) -> dict[Partition, int]:
        """What to commit where it differs from what is committed: the offset of the first unfinished event."""
        return {
            partition: log.position
            for partition, log in self._logs.items()
            if log.position is not None and log.position != log.committed
        }

    def committed(self, offsets: dict[Partition, int]) -> None:
        """Take note of a commit that succeeded."""
        for partition, offset in offsets.items():
            if partition in self._logs:
                self._logs[partition].committed = offset

    def revoke(self, partitions: Iterable[Partition]) -> None:
        """Forget these partitions; what is still in flight there will be delivered again to whoever has them next."""
        for partition in partitions:
            self._logs.pop(partition, None)
