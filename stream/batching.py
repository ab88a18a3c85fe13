"""Work on many of what came one by one: whatever waits when the last batch is done is the next batch.

Load makes batches; an item that comes alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Handler = Callable[[Sequence[T]], Awaitable[Sequence[R]]]
"""Gets items in the order of their arrival and returns one result for each. After an exception each is handed in again
alone, so that it goes to the callers of those items that are to blame."""

_Entry = tuple[T, "asyncio.Future[R]"]


class MicroBatcher(Generic[T, R]):
    """Batches over everything. An async context manager.

    Args:
        handle: see `Handler`.
        max_size: items in a batch at most.
        pause: seconds from the start of a batch to the start of the next, unless a full one waits already: so a
            steady stream makes batches too, however quickly each is done. May be set anew at any time.
        at_once: batches beside each other at most.
    """

    def __init__(self, handle: Handler[T, R], max_size: int, *, pause: float = 0.0, at_once: int = 1) -> None:
        self._handle = handle
        self._max_size = max_size
        self.pause = pause
        self._earliest = 0.0
        self._at_once = at_once
        self._waiting: asyncio.Queue[_Entry[T, R]] = asyncio.Queue()
        self._gathering = asyncio.Lock()
        self._tasks = _Tasks()

    async def submit(self, item: T) -> R:
        """The result for `item`, once its batch is done."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((item, future))
        return await future

    async def _run(self) -> None:
        while True:
            async with self._gathering:  # one at a time, so that batches fill
                batch = await self._gather()
            await _serve(batch, self._handle)

    async def _gather(self) -> list[_Entry[T, R]]:
        now = asyncio.get_running_loop().time
        batch = [await self._waiting.get()]
        if self._waiting.qsize() < self._max_size - 1:
            await _sleep_with(batch, self._earliest - now())
        self._earliest = now() + self.pause
        while len(batch) < self._max_size and not self._waiting.empty():
            batch.append(self._waiting.get_nowait())
        return batch

    async def __aenter__(self) -> Self:
        for _ in range(self._at_once):
            self._tasks.start(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel()
        while not self._waiting.empty():
            self._waiting.get_nowait()[1].cancel()


async def _sleep_with(batch: list[_Entry[T, R]], seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        for _item, future in batch:
            future.cancel()  # or its caller would wait for ever
        raise


class Turns(Generic[T, R]):
    """Batches by key, one batch of a key at a time, keys beside each other. An async context manager."""

    def __init__(self, handle: Handler[T, R]) -> None:
        self._handle = handle
        self._waiting: defaultdict[str, list[_Entry[T, R]]] = defaultdict(list)
        self._busy: set[str] = set()
        self._tasks = _Tasks()

    async def take(self, key: str, item: T) -> R:
        """The result for `item`, once the turn of its key came and its batch is done."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting[key].append((item, future))
        if key not in self._busy:
            self._busy.add(key)
            self._tasks.start(self._run(key))
        return await future

    async def _run(self, key: str) -> None:
        while batch := self._waiting.pop(key, None):
            await _serve(batch, self._handle)
        self._busy.discard(key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel()
        for waiting in self._waiting.values():
            for _item, future in waiting:
                future.cancel()


async def _serve(batch: list[_Entry[T, R]], handle: Handler[T, R]) -> None:
    batch = [(item, future) for item, future in batch if not future.done()]  # a cancelled caller wants nothing
    if not batch:
        return
    try:
        answers = list(zip(batch, await handle([item for item, _ in batch]), strict=True))
    except asyncio.CancelledError:
        for _, future in batch:
            future.cancel()  # or its caller would wait for ever
        raise
    except Exception as error:
        await _serve_each(batch, handle, error)
        return
    for (_, future), result in answers:
        if not future.done():
            future.set_result(result)


async def _serve_each(batch: list[_Entry[T, R]], handle: Handler[T, R], error: Exception) -> None:
    """One item may have spoilt the batch for all: only that one must fail."""
    if len(batch) > 1:
        for entry in batch:
            await _serve([entry], handle)
    elif not batch[0][1].done():
        batch[0][1].set_exception(error)


class _Tasks:
    """Tasks held until they are done: the event loop itself keeps only weak references."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[None, None, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
