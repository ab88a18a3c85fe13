"""Between the consumer and the pipeline: bounded work in flight, settled in order, drained within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from stream.offsets import Frontier, Partition
from stream.records import Record

log = structlog.get_logger(__name__)


_RUNS = 8


class Intake:
    """Takes records as they are delivered, and knows what may be committed.

    When it is full, it waits until an eighth is free again: the consumer then delivers in runs, where waking it for
    each single record would cost more than the record's own work.

    Args:
        process: returns once a record is durable; an exception of its is a fault of ours and ends the worker.
        max_in_flight: records being processed at most.
    """

    def __init__(self, process: Callable[[Record], Awaitable[str]], max_in_flight: int) -> None:
        self._process = process
        self._room = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], int] = {}  # numbered as they came
        self._accepted = 0
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed = False
        self.frontier = Frontier()
        self.allow(max_in_flight)

    def allow(self, most: int) -> None:
        """From now on let in while fewer than `most` are in flight; nothing while it is 0."""
        self._most = most
        self._resume_at = most - max(1, most // _RUNS)
        self._room.set()

    async def accept(self, record: Record, *, is_current: Callable[[], bool]) -> None:
        """Start work on a record once there is room for it.

        Args:
            record: the next of its partition.
            is_current: asked when there is room: whether the partition is still ours under the assignment that
                delivered the record. If not, it will be delivered again.
        """
        while self.in_flight >= self._most and not self._closed:
            self._room.clear()
            await self._room.wait()
        if self._closed or not is_current():
            return
        ticket = self.frontier.open(Partition(record.topic, record.partition), record.offset)
        if ticket is None:
            return
        task = asyncio.create_task(self._work(record, ticket.settle))
        self._accepted += 1
        self._tasks[task] = self._accepted
        task.add_done_callback(self._done)

    @property
    def in_flight(self) -> int:
        """Records being processed; may be asked from any thread."""
        return len(self._tasks)

    @property
    def has_room(self) -> bool:
        """Whether it waits for the consumer, and not the consumer for it."""
        return self.in_flight <= self._resume_at

    @property
    def oldest(self) -> int | None:
        """Which of all records that were accepted has been in flight the longest; None when there is none."""
        return next(iter(self._tasks.values()), None)

    @property
    def settled(self) -> int:
        """Records that are done."""
        return self._accepted - self.in_flight

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if self.in_flight <= self._resume_at:
            self._room.set()

    async def _work(self, record: Record, settle: Callable[[], None]) -> None:
        try:
            await self._process(record)
            settle()
        except Exception as error:
            log.exception("internal error", topic=record.topic, partition=record.partition, offset=record.offset)
            if not self._failed.done():
                self._failed.set_exception(error)

    async def failure(self) -> None:
        """Return never; raises the first exception that `process` raised."""
        await asyncio.shield(self._failed)

    async def drain(self, deadline_seconds: float) -> int:
        """Wait until nothing is in flight, or until the deadline.

        Returns:
            How many records are unfinished; they stay unsettled.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=deadline_seconds)
        return len(self._tasks)

    def revoke(self, partitions: Iterable[Partition]) -> None:
        """These partitions are somebody else's now."""
        self.frontier.revoke(partitions)

    async def close(self, deadline_seconds: float) -> None:
        """Accept nothing more, drain, and cancel what is left."""
        self._closed = True
        self._room.set()
        if left := await self.drain(deadline_seconds):
            log.warning("drain deadline passed; unfinished events will be delivered again", events=left)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._failed.done():
            self._failed.cancel()
