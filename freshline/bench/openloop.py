"""Requests at a fixed rate, whatever becomes of those before: so a slow service does not slow its own measurement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Answer:
    """Of one request: an HTTP status, 0 if there was none, and seconds from when it was due until it was there."""

    status: int
    seconds: float


@dataclass(frozen=True)
class Window:
    """What became of the requests of some seconds."""

    per_second: float
    """That were due."""
    answered: int
    shed: int
    """503, as soon as they came or after a short wait."""
    failed: int
    """Any other status, or none."""
    p50: float
    p99: float
    """Seconds, of those that were answered."""
    slowest_refusal: float
    """Seconds until the last one that was shed knew."""

    def within(self, seconds: float) -> bool:
        """Whether everything was answered, 99 of 100 within so many seconds."""
        return not (self.shed or self.failed) and self.p99 <= seconds


async def drive(send: Callable[[int], Awaitable[int]], per_second: float, seconds: float) -> list[Answer]:
    """Call `send` with 0, 1, 2… at this rate, each on time; it returns the status.

    The time of each counts from when it was due, not from when it was sent: if this process lags, that is seen.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def one(number: int, due: float) -> Answer:
        status = await send(number)
        return Answer(status, loop.time() - due)

    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(round(per_second * seconds)):
            due = began + number / per_second
            await asyncio.sleep(max(0.0, due - loop.time()))
            tasks.append(group.create_task(one(number, due)))
    return [task.result() for task in tasks]


def summed_up(answers: Sequence[Answer], per_second: float) -> Window:
    """The figures of a window."""
    good = [each.seconds for each in answers if each.status == 200]
    shed = [each.seconds for each in answers if each.status == 503]
    p50, p99 = np.percentile(good, [50, 99]) if good else (float("inf"), float("inf"))
    failed = len(answers) - len(good) - len(shed)
    return Window(per_second, len(good), len(shed), failed, float(p50), float(p99), max(shed, default=0.0))
