"""Ends a worker that is stuck: its stacks on stderr, an exit status that isn't 0, nothing lost.

Nothing that the worker still held was committed, so whoever has its partitions next does it again. Time is counted in
ticks that were lived through, since a machine that slept, or a process that was stopped, was not stuck.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Hashable
from typing import Protocol, Self

import structlog

from stream.health import Health
from stream.stacks import write_stacks

log = structlog.get_logger(__name__)

EXIT_STATUS = 70
"""Of a worker that could not leave in good order: EX_SOFTWARE of sysexits.h."""

_TICKS = 60
_FLUSH_SECONDS = 10.0


class Stuck(RuntimeError):
    """The worker makes no headway, and no part that it needs is away."""


class Work(Protocol):
    """What the watchdog looks at."""

    @property
    def oldest(self) -> Hashable | None:
        """Names the event that has been in flight the longest; None when there is none."""

    @property
    def settled(self) -> int:
        """Events done so far."""


class Stillness:
    """For how long, in ticks, a sign has been the same."""

    def __init__(self) -> None:
        self._sign: Hashable | None = None
        self.ticks = 0

    def tick(self, sign: Hashable | None) -> int:
        """The ticks since the sign changed last; None is no stillness, however long."""
        self.ticks = self.ticks + 1 if sign is not None and sign == self._sign else 0
        self._sign = sign
        return self.ticks


class Headway:
    """Whether events get on: the oldest in flight must not be the same for too long, unless it has an excuse.

    Excuses: a part is away; or pictures wait for their hosts' turns, while other events are settled.
    """

    def __init__(self, work: Work, health: Health) -> None:
        self._work = work
        self._health = health
        self._oldest, self._settled = Stillness(), Stillness()

    def tick(self) -> int:
        """The ticks without headway."""
        oldest = self._oldest.tick(None if self._health.away else self._work.oldest)
        settled = self._settled.tick(self._work.settled)
        return min(oldest, settled) if self._health.is_queueing else oldest


class Watchdog:
    """Watches the events from the loop, and the loop from a thread. An async context manager.

    Args:
        seconds: without headway, before it ends the worker; after half of it the worker `is_suspect`.
        leave_seconds: that a worker may take to leave in good order, once it is stuck.
        exit_now: ends the process at once, whatever its threads do.
    """

    def __init__(
        self,
        work: Work,
        health: Health,
        seconds: float,
        leave_seconds: float,
        exit_now: Callable[[int], object] = os._exit,
    ) -> None:
        self._headway = Headway(work, health)
        self._seconds = seconds
        self._leave_seconds = leave_seconds
        self._exit_now = exit_now
        self._beats = 0
        self._still = self._stalled = 0
        self._over, self._stuck = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch_loop, name="watchdog", daemon=True)

    @property
    def is_suspect(self) -> bool:
        """Whether it made no headway for half the time that it has. May be asked from any thread."""
        return self._stuck.is_set() or 2 * max(self._still, self._stalled) >= _TICKS

    async def stuck(self) -> None:
        """Return never.

        Raises:
            Stuck: with the stacks on stderr already.
        """
        await asyncio.shield(self._watching)

    async def _watch_events(self) -> None:
        while self._still < _TICKS:
            await asyncio.sleep(self._tick)
            self._beats += 1
            self._still = self._headway.tick()
        raise self.give_up(f"an event made no headway in {self._seconds:g} s, and nothing is away")

    def give_up(self, why: str) -> Stuck:
        """To be raised, after the stacks were written; the thread ends the process if the loop can't."""
        self._stuck.set()
        log.critical("stuck", why=why)
        write_stacks(sys.stderr, self._loop)
        return Stuck(why)

    @property
    def _tick(self) -> float:
        return self._seconds / _TICKS

    def _watch_loop(self) -> None:
        stillness = Stillness()
        while not self._over.wait(self._tick):
            if self._stuck.is_set():
                self._end_after_leaving()
                return
            self._stalled = stillness.tick(self._beats)
            if self._stalled >= _TICKS:
                self._end_at_once()
                return

    def _end_after_leaving(self) -> None:
        if not self._over.wait(self._leave_seconds):
            self._exit_now(EXIT_STATUS)

    def _end_at_once(self) -> None:
        """Even if nobody reads stderr, so that a line can't be written: nothing here may wait for ever."""
        last = threading.Timer(_FLUSH_SECONDS, self._exit_now, [EXIT_STATUS])
        last.daemon = True
        last.start()
        self._stuck.set()
        log.critical("stuck", why=f"the event loop stood still for {self._seconds:g} s")
        write_stacks(sys.stderr, self._loop)
        self._exit_now(EXIT_STATUS)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._watching = asyncio.create_task(self._watch_events(), name="watchdog")
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        if not self._stuck.is_set():  # else the process may not get to its end by itself: some thread hangs
            self._over.set()
