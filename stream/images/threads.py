"""Calls that may hang for ever, in threads that nobody waits for: neither the event loop nor the end of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Call(Generic[T]):
    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[T] = self._loop.create_future()

    def run(self) -> Callable[[], None]:
        """Returns what hands over the answer."""
        if self.answer.done():  # given up before it began
            return lambda: None
        try:
            return partial(self._hand_over, self._succeed, self._function())
        except BaseException as error:  # whatever it is, its caller must hear of it
            return partial(self._hand_over, self._fail, error)

    def _hand_over(self, how: Callable[[Any], None], what: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants it any more
            self._loop.call_soon_threadsafe(how, what)

    def _succeed(self, result: T) -> None:
        if not self.answer.done():
            self.answer.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class PatientThreads:
    """A pool of daemon threads. A call that is given up keeps its thread until it returns by itself."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._calls: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0
        self._counting = Lock()

    async def run(self, function: Callable[[], T], seconds: float) -> T:
        """What `function` returns or raises.

        Raises:
            TimeoutError: not done after so many seconds, the wait for a thread counted in.
        """
        call = _Call(function)
        self._count(1)
        if self._busy > self._threads and self._threads < self._limit:
            self._threads += 1
            Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        self._calls.put(call)
        async with asyncio.timeout(seconds):
            return await call.answer

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            hand_over = call.run()
            self._count(-1)  # before its caller goes on, and asks for another
            hand_over()

    def _count(self, change: int) -> None:
        with self._counting:
            self._busy += change

    def close(self) -> None:
        """Let the threads end once they are free."""
        for _ in range(self._threads):
            self._calls.put(None)
        self._threads = 0
