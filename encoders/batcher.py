"""Single pictures in, batches through the encoder, single vectors out: shared by the worker and the search service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
_Waiting = tuple[Pixels, "asyncio.Future[Vectors]"]


class BatcherError(RuntimeError):
    """The batcher isn't running: not yet started, or stopping."""


class Batcher:
    """Gathers what concurrent callers hand in, and encodes it in threads of its own, never on the loop.

    When a thread gets free, it takes at once whatever waits, so that batches fill by themselves under load; only
    when nothing waited does it give a first picture's company `max_wait` to arrive.

    Args:
        encode: uint8 (n, size, size, 3) to float32 (n, dimension); called in `threads` threads at a time, at most.
        max_size: pictures in a batch, at most.
        max_wait: seconds.
        max_waiting: pictures that may queue before callers wait to hand theirs in; by default two batches.
        threads: batches that are encoded at once.
        on_batch: called on the loop after each batch with its size and the seconds that `encode` took.
    """

    def __init__(
        self,
        encode: Callable[[Pixels], Vectors],
        *,
        max_size: int = 32,
        max_wait: float = 0.01,
        max_waiting: int | None = None,
        threads: int = 1,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self._encode = encode
        self._max_size = max_size
        self._max_wait = max_wait
        self._threads = threads
        self._on_batch = on_batch
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(max_waiting or 2 * max_size)
        self._callers: set[asyncio.Future[Vectors]] = set()
        self._gathering = asyncio.Lock()
        self._workers: list[asyncio.Task[None]] = []
        self._pool: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Start taking pictures. A stopped batcher can be started again."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="encode")
            self._workers = [asyncio.create_task(self._work(self._pool)) for _ in range(self._threads)]
            await asyncio.sleep(0)  # so that one is waiting when the first picture comes

    async def stop(self) -> None:
        """Refuse new pictures, answer those that were handed in, and end the threads."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            if self._callers:
                await asyncio.wait(self._callers)
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            pool.shutdown(wait=False)
            for answer in tuple(self._callers):  # only when stopping was cut short
                answer.set_exception(BatcherError("the batcher was stopped"))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    async def encode(self, pixels: Pixels) -> Vectors:
        """Encode one picture, as part of a batch. Waits while the queue is full; may be cancelled at any time.

        Args:
            pixels: uint8 (size, size, 3).

        Returns:
            float32 (dimension,).

        Raises:
            BatcherError: the batcher isn't running.
            Exception: whatever `encode` raised for this picture, alone.
        """
        if self._pool is None:
            raise BatcherError("the batcher is not running")
        answer: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        self._callers.add(answer)
        answer.add_done_callback(self._callers.discard)
        try:
            await self._queue.put((pixels, answer))
            return await answer
        finally:
            answer.cancel()  # tells the worker that nobody waits any more; changes nothing once answered

    async def _work(self, pool: ThreadPoolExecutor) -> None:
        while True:
            async with self._gathering:  # one at a time, so that batches fill
                batch = await self._gather()
            await self._serve([(pixels, answer) for pixels, answer in batch if not answer.done()], pool)

    async def _serve(self, batch: list[_Waiting], pool: ThreadPoolExecutor) -> None:
        if not batch:
            return
        run = partial(self._run, [pixels for pixels, _ in batch])
        try:
            vectors, seconds = await asyncio.get_running_loop().run_in_executor(pool, run)
            if self._on_batch is not None:
                self._on_batch(len(batch), seconds)
        except Exception as error:  # whatever it is, those who wait must hear of it
            await self._serve_each(batch, pool, error)
        else:
            _answer(batch, vectors)

    async def _serve_each(self, batch: list[_Waiting], pool: ThreadPoolExecutor, error: Exception) -> None:
        """One picture may have spoilt the batch for all: only that one must fail."""
        if len(batch) == 1:
            _fail(batch, error)
            return
        for entry in batch:
            await self._serve([entry], pool)

    async def _gather(self) -> list[_Waiting]:
        idle = self._queue.empty()
        batch = [await self._queue.get()]
        try:
            async with asyncio.timeout(self._max_wait if idle else 0):
                while len(batch) < self._max_size:
                    batch.append(await self._queue.get())
        except TimeoutError:
            pass
        return batch

    def _run(self, pictures: list[Pixels]) -> tuple[Vectors, float]:
        started = time.perf_counter()
        vectors = self._encode(np.stack(pictures))
        if len(vectors) != len(pictures):
            raise ValueError(f"encode gave {len(vectors)} vectors for {len(pictures)} pictures")
        return vectors, time.perf_counter() - started


def _answer(batch: list[_Waiting], vectors: Vectors) -> None:
    for (_, answer), vector in zip(batch, vectors, strict=True):
        if not answer.done():
            answer.set_result(vector)


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
