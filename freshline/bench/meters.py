"""What processes use: processor time, as the operating system counts it, beside the time on the clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import psutil

from freshline.bench.errors import BenchError


class Use(NamedTuple):
    """What was used so far, in seconds."""

    cpu: float
    wall: float

    def since(self, earlier: Use) -> Use:
        """What was used from `earlier` until this."""
        return Use(self.cpu - earlier.cpu, self.wall - earlier.wall)


class Meter:
    """Processor time of some processes together, all their threads included; of this one too if it is its `own`."""

    def __init__(self, *processes: int, own: bool = False) -> None:
        self._processes = [psutil.Process(process) for process in processes]
        self._own = own

    def read(self) -> Use:
        """What they have used since each began."""
        times = [process.cpu_times() for process in self._processes]
        others = sum(float(each.user + each.system) for each in times)
        return Use(others + (time.process_time() if self._own else 0.0), time.perf_counter())


def steady_rate(done: Sequence[float], at: Sequence[float], part: tuple[float, float] = (0.1, 0.9)) -> float:
    """How many a second in the middle of a measurement, without its start and its end.

    Args:
        done: how many were done so far at each look, rising.
        at: when that look was, in seconds.
        part: from and to which share of all that were done; one look at least, as a short one is over from one to the
            next.

    Raises:
        BenchError: there was one look only.
    """
    if len(done) < 2:
        raise BenchError("too few to measure a rate: all were found at once")
    first, last = (next(i for i, each in enumerate(done) if each >= share * done[-1]) for share in part)
    last = max(last, 1)
    first = min(first, last - 1)
    return (done[last] - done[first]) / (at[last] - at[first])


def resident_bytes(process: int) -> int:
    """The memory that a process occupies."""
    return int(psutil.Process(process).memory_info().rss)
