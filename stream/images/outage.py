"""Holding on while most image hosts are away at once: then the trouble is ours, and nothing is given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import structlog

from stream.health import Health
from stream.images.fetched import Refused, Unavailable
from stream.images.host import Host
from stream.images.hosts import Hosts

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LONGEST_NAP = 5.0
_SHORTEST_NAP = 0.05


async def ride_out(attempt: Callable[[], Awaitable[T]], host: Host, hosts: Hosts, health: Health) -> T:
    """The attempt's result; it is repeated for as long as most hosts are ill. May be cancelled at any time.

    Args:
        attempt: to have a picture.
        host: where the picture comes from.
        hosts: all of them.
        health: told that the worker holds.

    Raises:
        Unavailable: the attempt's, when the host is ill and most others are not.
    """
    async with AsyncExitStack() as held:
        holds = False
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                # Once it holds, a picture is given up for what a visit to its host says, not for want of a visit.
                untried = holds and isinstance(error, Refused) and host.breaker.is_open
                if not untried and not await hosts.turn_out_ill(host):
                    raise
                if not holds:
                    holds = True
                    await _hold(held, hosts, health, error)
                if not await _rest(host, hosts):
                    raise


async def _hold(held: AsyncExitStack, hosts: Hosts, health: Health, error: Unavailable) -> None:
    if not health.waits_for("images"):
        log.warning("most image hosts are away, holding", error=str(error))
    held.enter_context(health.holding("images"))
    await held.enter_async_context(hosts.holding())


async def _rest(host: Host, hosts: Hosts) -> bool:
    """Wait until the host may be tried. False: it was tried in vain when most others were no longer ill."""
    well_since: float | None = None
    while True:
        await hosts.news(min(_LONGEST_NAP, max(_SHORTEST_NAP, host.breaker.rest)))
        if not host.breaker.refuses:
            return True
        if hosts.most_are_ill():
            well_since = None
        elif well_since is None:
            well_since = hosts.clock()
        elif host.breaker.tried_at > well_since:
            return False
