"""Leaving the machine to the serving view's live lane: replays, and views being built, take what it leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from stream.backlog import Backlog, GroupReader
from stream.niceness import be_nice
from stream.serving import Serving
from stream.throttle import Throttle

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
REMIND_SECONDS = 60.0


@dataclass(frozen=True)
class YieldSettings:
    """Who yields, and how soon."""

    view: str
    lane: str
    most: int
    """Events in flight when nothing is in the way."""
    patience_seconds: float = 2.0
    """How long a live event may wait before nothing more is taken on; 0: never yield."""
    niceness: int = 10
    """Of the process while it has somebody to yield to; 0: as it was started."""


class Yielding:
    """Sets the limit of a worker's events in flight, a few times a second.

    It is no fault to yield: the worker stays ready, and waits for as long as it takes. It says so once a minute,
    since a serving view without a live worker is behind for ever.
    """

    def __init__(
        self,
        settings: YieldSettings,
        serving: Serving,
        reader: GroupReader,
        live_group: Callable[[str], str],
        allow: Callable[[int], None],
    ) -> None:
        """Args as they are named; `live_group` names a view's group, `allow` takes each new limit."""
        self._settings = settings
        self._serving = serving
        self._reader = reader
        self._live_group = live_group
        self._allow = allow
        self._throttle = Throttle(settings.most, settings.patience_seconds)
        self._backlog = Backlog()
        self._watched: str | None = None
        self._since: float | None = None
        self._reminded = 0.0
        self._nice = False

    @property
    def paused(self) -> bool:
        """Whether nothing is taken on; may be asked from any thread."""
        return self._throttle.paused

    @property
    def limit(self) -> int:
        """Events in flight at most; may be asked from any thread."""
        return self._throttle.limit

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_SECONDS)

    async def look(self) -> None:
        """Look once at the live lane, and set the limit."""
        to = self._serving.view
        if to is None or not self._yields_to(to):
            self._throttle.free()
        else:
            waits = await self._waits(to)
            self._throttle.observe(waits)
            self._remind(waits)
        self._be_nice(to is not None and self._yields_to(to))
        self._allow(self._throttle.limit)

    def _yields_to(self, serving: str) -> bool:
        own = self._settings
        return own.patience_seconds > 0 and (own.lane == "replay" or own.view != serving)

    async def _waits(self, view: str) -> float | None:
        if view != self._watched:
            self._watched, self._backlog = view, Backlog()
        try:
            ends, committed = await asyncio.to_thread(self._reader.read, self._live_group(view))
        except Exception as error:  # mostly Kafka's being away, which the worker says itself
            log.debug("the live lane can't be looked at, going slowly", view=view, error=repr(error))
            return None
        return self._backlog.waits(time.monotonic(), ends, committed)

    def _remind(self, waits: float | None) -> None:
        now = time.monotonic()
        if not self._throttle.paused:
            self._since = None
            return
        if self._since is None:
            self._since = self._reminded = now
        if now - self._reminded >= REMIND_SECONDS:
            self._reminded = now
            log.warning(
                "yielding: the serving view's live lane is behind; has it a worker?",
                serving=self._watched,
                yielding_seconds=round(now - self._since),
                oldest_waits_seconds=round(waits or 0, 1),
            )

    def _be_nice(self, nice: bool) -> None:
        if nice != self._nice and self._settings.niceness:
            self._nice = nice
            be_nice(self._settings.niceness if nice else 0)
