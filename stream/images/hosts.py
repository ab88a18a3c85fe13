"""All hosts that pictures come from: which are ill, and whether most of them are at once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from stream.images.breaker import Breaker, BreakerSettings, Clock
from stream.images.host import Host, Visit


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

    def are_queued(self) -> bool:
        """Whether a visit waits for its turn anywhere."""
        return self._strangers.locked() or any(host.is_queued for host in self._hosts.values())

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
