"""How much of the processor a process claims beside others, all of its threads included."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


def be_nice(niceness: int) -> None:
    """Set every thread's niceness, 0 (as others) to 19; threads started later have that of their starter.

    Going back down takes a privilege that a worker rarely has: then it says so, and stays as it is.
    """
    try:
        for thread in _threads():
            _set(thread, niceness)
    except PermissionError:
        log.warning("this process may not raise its priority again; restart it to", niceness=niceness)


def _threads() -> list[int]:
    """On Linux niceness is each thread's own; elsewhere the process's."""
    if sys.platform != "linux":
        return [0]
    return [int(path.name) for path in Path("/proc/self/task").iterdir()]


def _set(thread: int, niceness: int) -> None:
    try:
        if os.getpriority(os.PRIO_PROCESS, thread) != niceness:
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
    except ProcessLookupError:  # it has just ended
        pass
