"""What a worker waits for that is away: why it is not ready, while it holds what it has and takes no more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

T = TypeVar("T")

Part = Literal["qdrant", "kafka", "images"]


class Health:
    """Shared by everything that may have to hold. Written on the event loop, read from any thread."""

    def __init__(self) -> None:
        self._holding: Counter[Part] = Counter()
        self._queues: list[Callable[[], bool]] = []

    @contextmanager
    def holding(self, part: Part) -> Iterator[None]:
        """For as long as somebody waits for `part` to come back."""
        self._holding[part] += 1
        try:
            yield
        finally:
            self._holding[part] -= 1

    async def watch(self, part: Part, work: Awaitable[T], seconds: float = 5.0) -> T:
        """The result of `work`; once it takes longer than `seconds`, whoever does it waits for `part`."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task], timeout=seconds)
            if not task.done():
                with self.holding(part):
                    await asyncio.wait([task])
            return task.result()
        finally:
            task.cancel()  # when nobody waits any more; changes nothing once it is done

    def add_queue(self, is_waited_in: Callable[[], bool]) -> None:
        """Work may wait in this queue for long without being stuck, as long as other work gets on."""
        self._queues.append(is_waited_in)

    @property
    def is_queueing(self) -> bool:
        """Whether any work waits in such a queue."""
        return any(is_waited_in() for is_waited_in in self._queues)

    def waits_for(self, part: Part) -> bool:
        """Whether anybody waits for it now."""
        return self._holding[part] > 0

    @property
    def away(self) -> list[Part]:
        """The parts that somebody waits for now; the worker is ready when there are none."""
        return sorted(part for part, count in list(self._holding.items()) if count > 0)
