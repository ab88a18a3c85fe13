"""One image host: visits wait for their turn as long as it is well, and not at all when it is ill."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from stream.images.breaker import Breaker
from stream.images.fetched import Refused, Unavailable

log = structlog.get_logger(__name__)


class Visit:
    """What is known of a visit while it goes on."""

    def __init__(self) -> None:
        self.answered = False
        """The host said something: whatever comes of the picture, the host is well."""


class Host:
    """Its visits, counted, and what they say of it."""

    def __init__(self, name: str, at_once: int, breaker: Breaker, on_change: Callable[[], None]) -> None:
        self.name = name
        self.breaker = breaker
        self._at_once = at_once
        self._on_change = on_change
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_idle(self) -> bool:
        """Nobody visits it."""
        return self._busy == 0

    @property
    def is_queued(self) -> bool:
        """Somebody waits for a turn."""
        return bool(self._waiting)

    @asynccontextmanager
    async def visit(self, url: str) -> AsyncIterator[Visit]:
        """The host's turn for one attempt at `url`; what is raised inside says how the host is.

        Raises:
            Refused: it is ill, now or before the turn came.
        """
        probe = await self._enter(url)
        visit, well, rest = Visit(), None, 0.0
        try:
            yield visit
            well = True
        except Unavailable as error:
            well, rest = False, error.rest_seconds
            raise
        except Exception:
            well = visit.answered or None
            raise
        finally:
            self._leave()
            self._learn(well, probe, rest)

    async def _enter(self, url: str) -> bool:
        self._check(url)
        if self._busy >= self._at_once and not self.breaker.is_open:  # a probe waits for no turn
            await self._turn()
            if self.breaker.refuses:
                self._leave()
                self._check(url)
        else:
            self._busy += 1
        return self.breaker.begin()

    def _check(self, url: str) -> None:
        if self.breaker.refuses:
            raise Refused(f"{url}: {self.name} is ill, left alone for another {self.breaker.rest:.0f} s")

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came, and nobody is there to use it
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy -= 1

    def _learn(self, well: bool | None, probe: bool, rest: float) -> None:
        was_open, was_ill = self.breaker.is_open, self.breaker.is_ill
        self.breaker.end(well, probe=probe, rest_seconds=rest)
        if self.breaker.is_open and not was_open:
            log.warning("image host is ill", host=self.name, waiting=len(self._waiting), rest=round(self.breaker.rest))
            self._refuse_waiting()
        elif was_open and not self.breaker.is_open:
            log.info("image host is well again", host=self.name)
        if probe or self.breaker.is_ill != was_ill:
            self._on_change()

    def _refuse_waiting(self) -> None:
        """All who wait get their turn at once, and find it refused."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)
