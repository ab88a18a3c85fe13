from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from stream.images.threads import PatientThreads


async def test_what_a_call_returns_or_raises_is_its_callers() -> None:
    threads = PatientThreads(2, "test")

    answers = await asyncio.gather(*(threads.run(partial(str, number), 10) for number in range(100)))
    assert answers == [str(number) for number in range(100)]
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0, 10)
    threads.close()


async def test_a_call_that_hangs_keeps_its_own_thread_and_no_other() -> None:
    threads, released = PatientThreads(2, "test"), threading.Event()
    try:
        with pytest.raises(TimeoutError):
            await threads.run(released.wait, 0.01)
        assert await threads.run(lambda: "well", 10) == "well"
        with pytest.raises(TimeoutError):
            await threads.run(released.wait, 0.01)
        begun = threading.Event()
        with pytest.raises(TimeoutError):  # no thread is left
            await threads.run(begun.set, 0.01)
    finally:
        released.set()

    assert await threads.run(lambda: "well", 10) == "well"
    assert not begun.is_set(), "what was given up before it began is not begun"
    threads.close()


async def test_threads_are_made_as_they_are_needed_and_are_nothing_to_wait_for_at_the_end() -> None:
    threads = PatientThreads(50, "counted")
    for _ in range(20):
        await threads.run(lambda: None, 10)
    running = [thread for thread in threading.enumerate() if thread.name.startswith("counted")]

    assert [thread.daemon for thread in running] == [True]
    threads.close()
