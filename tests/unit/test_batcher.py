"""Callers of the batcher share its batches, and nothing else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from encoders.batcher import Batcher, BatcherError

Array = np.ndarray[Any, Any]


class Encoder:
    """Gives each picture's value back; can be held, and breaks on the value 255."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self._open = threading.Event()
        self._open.set()

    def __call__(self, pixels: Array) -> Array:
        self.threads.add(threading.get_ident())
        values = [int(value) for value in pixels[:, 0, 0, 0]]
        self.batches.append(values)
        self._open.wait(10)
        if 255 in values:
            raise ZeroDivisionError("bad picture")
        return np.array([[value, 1] for value in values], np.float32)

    @contextmanager
    def held(self) -> Iterator[None]:
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


def _picture(value: int) -> Array:
    return np.full((2, 2, 3), value, np.uint8)


async def _until(condition: Any) -> None:
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


def _ask(batcher: Batcher, *values: int) -> list[asyncio.Task[Array]]:
    return [asyncio.create_task(batcher.encode(_picture(value))) for value in values]


async def _answers(tasks: list[asyncio.Task[Array]]) -> list[int]:
    return [int(vector[0]) for vector in await asyncio.gather(*tasks)]


async def test_each_caller_gets_its_own_vector(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=8) as batcher:
        vector = await batcher.encode(_picture(7))
        answers = await _answers(_ask(batcher, *range(100)))

    assert vector.tolist() == [7, 1]
    assert vector.dtype == np.float32
    assert answers == list(range(100))


async def test_concurrent_callers_share_batches_of_at_most_max_size(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=8, max_wait=1) as batcher:
        await _answers(_ask(batcher, *range(24)))

    assert [len(batch) for batch in encoder.batches] == [8, 8, 8]


async def test_a_lone_picture_waits_no_longer_than_max_wait(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=8, max_wait=0.05) as batcher:
        started = time.monotonic()
        await batcher.encode(_picture(1))

    assert 0.04 < time.monotonic() - started < 1


async def test_company_that_arrives_within_max_wait_comes_along(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=8, max_wait=0.5) as batcher:
        first = _ask(batcher, 1)
        await asyncio.sleep(0.01)
        await _answers(first + _ask(batcher, 2))

    assert encoder.batches == [[1, 2]]


async def test_what_waited_is_taken_at_once_when_the_thread_is_free(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=4, max_wait=30) as batcher:
        with encoder.held():
            tasks = _ask(batcher, 1, 2, 3, 4)
            await _until(lambda: encoder.batches)
            tasks += _ask(batcher, 5, 6)
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await _answers(tasks)

    assert encoder.batches == [[1, 2, 3, 4], [5, 6]]


async def test_encoding_has_one_thread_that_is_not_the_loops(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=2) as batcher:
        await _answers(_ask(batcher, *range(20)))

    assert len(encoder.threads) == 1
    assert threading.get_ident() not in encoder.threads


async def test_several_threads_encode_several_batches_at_once(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=2, threads=2) as batcher:
        with encoder.held():
            tasks = _ask(batcher, 1, 2, 3, 4, 5)
            await _until(lambda: len(encoder.batches) == 2)
            await asyncio.sleep(0.01)
            assert sorted(encoder.batches) == [[1, 2], [3, 4]], "the third batch waits for a thread"
        assert await _answers(tasks) == [1, 2, 3, 4, 5]

    assert len(encoder.threads) == 2


async def test_the_loop_runs_on_while_a_batch_is_encoded(encoder: Encoder) -> None:
    async with Batcher(encoder, max_wait=0) as batcher:
        with encoder.held():
            tasks = _ask(batcher, 1)
            await _until(lambda: encoder.batches)
            started = time.monotonic()
            for _ in range(100):
                await asyncio.sleep(0)
            assert time.monotonic() - started < 1
        await _answers(tasks)


async def test_callers_wait_while_the_queue_is_full(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=2, max_waiting=3, max_wait=0) as batcher:
        with encoder.held():
            tasks = _ask(batcher, *range(50))
            await _until(lambda: encoder.batches)
            await asyncio.sleep(0.01)

            assert batcher._queue.qsize() == 3
        assert await _answers(tasks) == list(range(50))


async def test_an_exception_goes_to_the_picture_that_is_to_blame_and_to_none_beside_it(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=2, max_wait=1) as batcher:
        results = await asyncio.gather(*_ask(batcher, 1, 2, 3, 255, 5, 6), return_exceptions=True)

    assert [isinstance(result, ZeroDivisionError) for result in results] == [False, False, False, True, False, False]


async def test_too_few_vectors_are_an_error_for_all() -> None:
    async with Batcher(lambda pixels: np.zeros((0, 2), np.float32), max_size=2, max_wait=1) as batcher:
        results = await asyncio.gather(*_ask(batcher, 1, 2), return_exceptions=True)

    assert [str(result) for result in results] == ["encode gave 0 vectors for 1 pictures"] * 2


async def test_a_cancelled_caller_in_the_queue_is_left_out(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=4, max_wait=0) as batcher:
        with encoder.held():
            first = _ask(batcher, 0)
            await _until(lambda: encoder.batches)
            tasks = _ask(batcher, 1, 2, 3)
            await asyncio.sleep(0.01)
            tasks[1].cancel()
            await asyncio.sleep(0)
        answers = await _answers([*first, tasks[0], tasks[2]])

    assert answers == [0, 1, 3]
    assert encoder.batches == [[0], [1, 3]]
    assert tasks[1].cancelled()


async def test_a_caller_cancelled_while_its_batch_runs_disturbs_nobody(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=3, max_wait=1) as batcher:
        with encoder.held():
            tasks = _ask(batcher, 1, 2, 3)
            await _until(lambda: encoder.batches)
            tasks[0].cancel()
            await asyncio.sleep(0.01)
        assert await _answers(tasks[1:]) == [2, 3]
        assert await _answers(_ask(batcher, 4, 5, 6)) == [4, 5, 6]


async def test_callers_cancelled_before_there_was_room_leave_nothing_behind(encoder: Encoder) -> None:
    async with Batcher(encoder, max_size=1, max_waiting=1, max_wait=0) as batcher:
        with encoder.held():
            tasks = _ask(batcher, *range(6))
            await _until(lambda: encoder.batches)
            await asyncio.sleep(0.01)
            for task in tasks[2:]:
                task.cancel()
            await asyncio.sleep(0)
        assert await _answers(tasks[:2]) == [0, 1]

    assert encoder.batches == [[0], [1]]
    assert not batcher._callers


async def test_random_cancellation_never_mixes_answers(encoder: Encoder) -> None:
    rng = np.random.default_rng(0)
    async with Batcher(encoder, max_size=5, max_waiting=7, max_wait=0.001) as batcher:
        tasks = []
        for value in range(250):
            tasks += _ask(batcher, value)
            if rng.random() < 0.3:
                await asyncio.sleep(0.0005)
            if rng.random() < 0.4:
                tasks[rng.integers(len(tasks))].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)

    for value, result in enumerate(results):
        assert isinstance(result, asyncio.CancelledError) or result.tolist() == [value, 1]  # type: ignore[union-attr]


async def test_stopping_answers_those_who_wait_and_refuses_others(encoder: Encoder) -> None:
    batcher = Batcher(encoder, max_size=2, max_waiting=2, max_wait=0)
    await batcher.start()
    with encoder.held():
        tasks = _ask(batcher, *range(9))
        await _until(lambda: encoder.batches)
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0.01)
        with pytest.raises(BatcherError):
            await batcher.encode(_picture(1))

        assert not stopping.done()
    await stopping

    assert await _answers(tasks) == list(range(9))


async def test_stopping_that_is_cut_short_tells_those_who_wait(encoder: Encoder) -> None:
    batcher = Batcher(encoder, max_size=1, max_wait=0)
    await batcher.start()
    with encoder.held():
        tasks = _ask(batcher, 1, 2)
        await _until(lambda: encoder.batches)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.stop(), 0.02)
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in results] == [BatcherError, BatcherError]


async def test_it_must_be_started_and_can_be_started_again(encoder: Encoder) -> None:
    batcher = Batcher(encoder, max_wait=0)
    with pytest.raises(BatcherError, match="not running"):
        await batcher.encode(_picture(1))

    for value in (1, 2):
        await batcher.start()
        await batcher.start()
        assert (await batcher.encode(_picture(value)))[0] == value
        await batcher.stop()
        await batcher.stop()


async def test_each_batch_is_reported(encoder: Encoder) -> None:
    reports: list[tuple[int, float]] = []

    async with Batcher(encoder, max_size=3, max_wait=1, on_batch=lambda *report: reports.append(report)) as batcher:
        with encoder.held():
            tasks = _ask(batcher, 1, 2, 3)
            await asyncio.sleep(0.03)
        await _answers(tasks)

    assert [size for size, _ in reports] == [3]
    assert 0.02 < reports[0][1] < 5
