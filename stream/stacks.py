"""Where everything stands: the stacks of all threads and of all asyncio tasks."""

from __future__ import annotations

import asyncio
import faulthandler
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

_DEEPEST = 30


def write_stacks(file: TextIO, loop: asyncio.AbstractEventLoop) -> None:
    """Write both to a real file; tasks that wait in the same place are one line."""
    file.flush()
    faulthandler.dump_traceback(file, all_threads=True)
    tasks = Counter(f"{_name(task)}: {' > '.join(_places(task))}" for task in asyncio.all_tasks(loop))
    lines = [f"  {count} x {where}" for where, count in tasks.most_common()]
    file.write("\n".join(["asyncio tasks, outermost call first:", *lines, ""]))
    file.flush()


def _name(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", coroutine))


def _places(task: asyncio.Task[Any]) -> list[str]:
    """Down the chain of what awaits what, which `Task.get_stack` does not follow."""
    places: list[str] = []
    waits: Any = task.get_coro()
    while waits is not None and len(places) < _DEEPEST:
        frame: FrameType | None = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
        if frame is not None:
            places.append(f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})")
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
    return places
