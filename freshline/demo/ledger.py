"""What became of every event, and how soon."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping

PATIENCE_SECONDS = 60


class Ledger:
    """Watches the worker's events; for its event loop only."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.freshness: list[float] = []
        """Seconds from `occurred_at` to readable, of each event that changed the index."""
        self._changed = asyncio.Event()

    def settled(self, outcome: str) -> None:
        """An event is done."""
        self.outcomes[outcome] += 1
        self._changed.set()

    def fresh(self, event_type: str, seconds: float, parts: Mapping[str, float]) -> None:
        """An event became readable."""
        self.freshness.append(seconds)

    async def until(self, events: int, report: Callable[[int], None] = lambda _: None) -> None:
        """Return once so many events are done since the start.

        Raises:
            TimeoutError: for a long time none was.
        """
        while (done := self.outcomes.total()) < events:
            report(done)
            self._changed.clear()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._changed.wait()
        report(done)

    def percentile(self, percent: float) -> float:
        """The freshness that so many percent of the events kept (nearest rank)."""
        ordered = sorted(self.freshness)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
