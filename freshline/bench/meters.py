"""What processes use: processor time, as the operating system counts it, beside the time on the clock."""

from __future__ import annotations

import time
from typing import NamedTuple

import psutil


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


def resident_bytes(process: int) -> int:
    """The memory that a process occupies."""
    return int(psutil.Process(process).memory_info().rss)
