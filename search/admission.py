"""Load shedding: so many searches at once, a few more that wait for a moment, and an early no to all others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from search.metrics import SearchMetrics
from search.problems import Problem

_WEIGHT = 0.05
"""Of the newest search in the average of how long one takes."""


class Admission:
    """To the work of a search.

    Beyond what it can do, a service that takes everything answers everything late. This one lets a search wait only as
    long as `patience` allows, and tells the others at once that they better ask again.

    Args:
        most: searches at the work at once.
        patience: seconds that one may wait for that.
        metrics: told of what is refused.
    """

    def __init__(self, most: int, patience: float, metrics: SearchMetrics) -> None:
        self._most = most
        self._patience = patience
        self._metrics = metrics
        self._slots = asyncio.Semaphore(most)
        self._waiting = 0
        self._seconds = 0.0

    def check(self) -> None:
        """Before work is spent on a request's body.

        Raises:
            Problem: 503, it would wait too long.
        """
        if self._waiting * self._seconds > self._most * self._patience:
            raise self._overloaded()

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Do the work in here.

        Raises:
            Problem: 503, its turn did not come in time.
        """
        await self._wait()
        began = time.monotonic()
        try:
            yield
        finally:
            self._slots.release()
            self._seconds += _WEIGHT * (time.monotonic() - began - self._seconds)

    async def _wait(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._slots.acquire()
        except TimeoutError:
            raise self._overloaded() from None
        finally:
            self._waiting -= 1

    def _overloaded(self) -> Problem:
        self._metrics.refused("load")
        return Problem(503, "overloaded", "more searches than can be answered in time", headers={"Retry-After": "1"})
