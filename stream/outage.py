"""Holding on while most image hosts are away at once: then the trouble is ours, and nothing is given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import structlog

from stream.fetched import Unavailable
from stream.health import Health
from stream.hosts import Host, Hosts

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
                if not await hosts.turn_out_ill(host):
                    raise
                if not holds:
                    holds = True
                    _announce(health, error)
                    held.enter_context(health.holding("images"))
                    await held.enter_async_context(hosts.holding())
            await _rest(host, hosts)


async def _rest(host: Host, hosts: Hosts) -> None:
    """Until the host may be tried, or it no longer looks as if most were ill."""
    while True:
        await hosts.news(min(_LONGEST_NAP, max(_SHORTEST_NAP, host.breaker.rest)))
        if not host.breaker.refuses or not hosts.most_are_ill():
            return


def _announce(health: Health, error: Unavailable) -> None:
    if not health.waits_for("images"):
        log.warning("most image hosts are away, holding", error=str(error))
