"""The hosts that pictures come from: how many visits at once, which are ill, and whether most of them are."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from stream.breaker import Breaker, BreakerSettings, Clock
from stream.fetched import Refused, Unavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class HostSettings:
    """Of all hosts."""

    at_once: int = 16
    """Visits to one host: its share, should it hang."""
    strangers_at_once: int = 32
    """Visits to all hosts together that were never well yet: names are cheap to make up."""
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    fewest: int = 3
    """Hosts that must have been tried lately before "most of them" means anything."""
    lately_seconds: float = 60.0
    doubt_seconds: float = 1.0
    """How long after a host got worse the others are watched, in case that they do too."""
    remembered: int = 1024


class Visit:
    """What is known of a visit while it goes on."""

    def __init__(self) -> None:
        self.answered = False
        """The host said something: whatever comes of the picture, the host is well."""


class Host:
    """One host: visits wait for their turn as long as it is well, and not at all when it is ill."""

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


class Hosts:
    """All hosts lately seen, by name. Bounded: the one that was used longest ago is forgotten."""

    def __init__(self, settings: HostSettings, clock: Clock = time.monotonic) -> None:
        self._settings = settings
        self.clock = clock
        self._hosts: OrderedDict[str, Host] = OrderedDict()
        self._strangers = asyncio.Semaphore(settings.strangers_at_once)
        self._news = asyncio.Event()
        self._holders = 0
        self._holding_since = 0.0

    def named(self, name: str) -> Host:
        """The host of this name."""
        host = self._hosts.get(name)
        if host is None:
            self._forget()
            breaker = Breaker(self._settings.breaker, self.clock)
            host = self._hosts[name] = Host(name, self._settings.at_once, breaker, self._tell)
        self._hosts.move_to_end(name)
        return host

    @asynccontextmanager
    async def visit(self, name: str, url: str) -> AsyncIterator[Visit]:
        """As `Host.visit`; strangers share a part of all visits."""
        host = self.named(name)
        async with host.visit(url) as visit:
            if host.breaker.proven:
                yield visit
            else:
                async with self._strangers:
                    yield visit

    def most_are_ill(self) -> bool:
        """Whether more than half of the hosts tried lately are ill, and so probably our own way out.

        Those that were never well don't count beside others that were: made-up names must not hold up the shop.
        """
        tried = self._tried()
        judged = [breaker for breaker in tried if breaker.proven] or tried
        return len(judged) >= self._settings.fewest and 2 * sum(each.is_ill for each in judged) > len(judged)

    async def turn_out_ill(self, host: Host) -> bool:
        """As `most_are_ill`; when the host has only just got worse, the others are given a moment to show it too."""
        while not (most := self.most_are_ill()) and len(self._tried()) >= self._settings.fewest:
            left = host.breaker.worse_since + self._settings.doubt_seconds - self.clock()
            if left <= 0:
                break
            await self.news(left)
        return most

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """While somebody holds, hosts that were ill at its beginning stay counted, tried again or not."""
        if not self._holders:
            self._holding_since = self.clock()
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1

    async def news(self, seconds: float) -> None:
        """Return when a host fell ill or got well, or a probe is over; or after so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _tried(self) -> list[Breaker]:
        since = (self._holding_since if self._holders else self.clock()) - self._settings.lately_seconds
        return [host.breaker for host in self._hosts.values() if host.breaker.tried_at >= since]

    def _forget(self) -> None:
        if len(self._hosts) < self._settings.remembered:
            return
        for name, host in self._hosts.items():
            if host.is_idle:
                del self._hosts[name]
                return
