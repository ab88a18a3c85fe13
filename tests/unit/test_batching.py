from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.batching import MicroBatcher, Turns


class Gated:
    """A handler that doubles; it holds each batch until `opened`, and remembers the batches."""

    def __init__(self, *, opened: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None
        self.cancelled = 0
        if opened:
            self.gate.set()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return [item * 2 for item in items]


async def turns_of_the_loop(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- MicroBatcher ---------------------------------------------------------------------------------------------------


async def test_a_lone_item_waits_for_nobody() -> None:
    handler = Gated()
    async with MicroBatcher(handler, 8) as batcher:
        assert await batcher.submit(1) == 2

    assert handler.batches == [[1]]


async def test_what_waits_when_a_batch_is_done_is_the_next_batch_in_order() -> None:
    handler = Gated(opened=False)
    async with MicroBatcher(handler, 8) as batcher:
        calls = [asyncio.create_task(batcher.submit(1))]
        await turns_of_the_loop()
        calls += [asyncio.create_task(batcher.submit(item)) for item in (2, 3, 4)]
        await turns_of_the_loop()
        handler.gate.set()

        assert await asyncio.gather(*calls) == [2, 4, 6, 8]

    assert handler.batches == [[1], [2, 3, 4]]


async def test_a_batch_is_never_larger_than_its_limit() -> None:
    handler = Gated()
    async with MicroBatcher(handler, 3) as batcher:
        await asyncio.gather(*(batcher.submit(item) for item in range(8)))

    assert [len(batch) for batch in handler.batches] == [3, 3, 2]


async def test_an_error_goes_to_every_caller_of_its_batch_and_to_no_other() -> None:
    handler = Gated()
    async with MicroBatcher(handler, 2) as batcher:
        handler.error = RuntimeError("broken")
        results = await asyncio.gather(batcher.submit(1), batcher.submit(2), return_exceptions=True)
        assert [str(result) for result in results] == ["broken", "broken"]

        handler.error = None
        assert await batcher.submit(3) == 6


async def test_a_caller_that_left_is_not_served() -> None:
    handler = Gated(opened=False)
    async with MicroBatcher(handler, 8) as batcher:
        first = asyncio.create_task(batcher.submit(1))
        await turns_of_the_loop()
        left, stays = asyncio.create_task(batcher.submit(2)), asyncio.create_task(batcher.submit(3))
        await turns_of_the_loop()
        left.cancel()
        await turns_of_the_loop()
        handler.gate.set()
        assert (await first, await stays) == (2, 6)

    assert handler.batches == [[1], [3]]


async def test_a_caller_that_leaves_during_its_batch_disturbs_no_other() -> None:
    handler = Gated(opened=False)
    async with MicroBatcher(handler, 8) as batcher:
        left, stays = asyncio.create_task(batcher.submit(1)), asyncio.create_task(batcher.submit(2))
        await turns_of_the_loop()
        left.cancel()
        await turns_of_the_loop()
        handler.gate.set()

        assert await stays == 4


async def test_a_handler_that_answers_too_little_is_an_error_for_its_callers() -> None:
    async def short(items: Sequence[int]) -> list[int]:
        return [0] * (len(items) - 1)

    async with MicroBatcher(short, 2) as batcher:
        async with asyncio.timeout(5):
            results = await asyncio.gather(batcher.submit(1), batcher.submit(2), return_exceptions=True)

    assert any(isinstance(result, ValueError) for result in results)


async def test_closing_leaves_no_caller_waiting() -> None:
    handler = Gated(opened=False)
    async with MicroBatcher(handler, 1) as batcher:
        calls = [asyncio.create_task(batcher.submit(item)) for item in range(3)]
        await turns_of_the_loop()

    async with asyncio.timeout(5):
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert handler.cancelled == 1


async def test_a_lone_item_waits_for_nobody_and_the_next_ones_for_their_time() -> None:
    handler = Gated()
    async with MicroBatcher(handler, 8, pause=0.2) as batcher, asyncio.timeout(5):
        assert await batcher.submit(1) == 2
        calls = [asyncio.create_task(batcher.submit(item)) for item in range(2)]
        await turns_of_the_loop()
        calls += [asyncio.create_task(batcher.submit(item)) for item in range(2, 4)]

        assert await asyncio.gather(*calls) == [0, 2, 4, 6]
    assert handler.batches == [[1], [0, 1, 2, 3]]


async def test_the_time_between_batches_may_change_while_they_run() -> None:
    handler = Gated()
    async with MicroBatcher(handler, 8, pause=60) as batcher, asyncio.timeout(5):
        batcher.pause = 0
        assert await batcher.submit(1) == 2
        assert await batcher.submit(2) == 4


async def test_closing_leaves_no_caller_waiting_for_its_time() -> None:
    async with MicroBatcher(Gated(), 8, pause=60) as batcher:
        await batcher.submit(1)
        waiting = asyncio.create_task(batcher.submit(2))
        await turns_of_the_loop()

    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_full_batch_does_not_wait_for_its_time() -> None:
    handler = Gated()
    async with MicroBatcher(handler, 4, pause=30) as batcher, asyncio.timeout(5):
        await batcher.submit(0)
        calls = [asyncio.create_task(batcher.submit(item)) for item in range(8)]
        assert await asyncio.gather(*calls[:4]) == [0, 2, 4, 6]
        assert await asyncio.gather(*calls[4:]) == [8, 10, 12, 14]


async def test_so_many_batches_run_at_once_and_no_more() -> None:
    handler = Gated(opened=False)
    async with MicroBatcher(handler, 2, at_once=2) as batcher:
        calls = [asyncio.create_task(batcher.submit(item)) for item in range(6)]
        await turns_of_the_loop()
        assert handler.batches == [[0, 1], [2, 3]]
        handler.gate.set()

        assert await asyncio.gather(*calls) == [0, 2, 4, 6, 8, 10]
    assert handler.batches == [[0, 1], [2, 3], [4, 5]]


# --- Turns ----------------------------------------------------------------------------------------------------------


async def test_one_key_waits_for_its_turn_and_then_comes_as_one_batch() -> None:
    handler = Gated(opened=False)
    async with Turns(handler) as turns:
        calls = [asyncio.create_task(turns.take("a", 1))]
        await turns_of_the_loop()
        calls += [asyncio.create_task(turns.take("a", item)) for item in (2, 3)]
        await turns_of_the_loop()
        assert handler.batches == [[1]]
        handler.gate.set()

        assert await asyncio.gather(*calls) == [2, 4, 6]

    assert handler.batches == [[1], [2, 3]]


async def test_keys_do_not_wait_for_each_other() -> None:
    handler = Gated(opened=False)
    async with Turns(handler) as turns:
        calls = [asyncio.create_task(turns.take(key, item)) for item, key in enumerate("abc")]
        await turns_of_the_loop()

        assert sorted(handler.batches) == [[0], [1], [2]]
        handler.gate.set()
        await asyncio.gather(*calls)


async def test_an_error_in_one_turn_does_not_end_its_key() -> None:
    handler = Gated()
    async with Turns(handler) as turns:
        handler.error = RuntimeError("broken")
        with pytest.raises(RuntimeError, match="broken"):
            await turns.take("a", 1)
        handler.error = None

        assert await turns.take("a", 2) == 4


async def test_a_key_that_is_idle_is_forgotten() -> None:
    async with Turns(Gated()) as turns:
        await asyncio.gather(*(turns.take(str(number), number) for number in range(20)))
        await turns_of_the_loop()

        assert not turns._waiting
        assert not turns._busy
        assert not turns._tasks._tasks


async def test_a_turn_goes_on_although_its_only_caller_left() -> None:
    """What it began, a write perhaps, is not torn: the next turn of the key comes after it."""
    handler = Gated(opened=False)
    async with Turns(handler) as turns:
        left = asyncio.create_task(turns.take("a", 1))
        await turns_of_the_loop()
        left.cancel()
        stays = asyncio.create_task(turns.take("a", 2))
        await turns_of_the_loop()
        assert handler.batches == [[1]]
        handler.gate.set()

        assert await stays == 4
    assert handler.cancelled == 0


async def test_closing_cancels_turns_and_leaves_no_caller_waiting() -> None:
    handler = Gated(opened=False)
    async with Turns(handler) as turns:
        calls = [asyncio.create_task(turns.take("a", 1))]
        await turns_of_the_loop()
        calls += [asyncio.create_task(turns.take("a", 2)), asyncio.create_task(turns.take("b", 3))]
        await asyncio.sleep(0)

    async with asyncio.timeout(5):
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=30))
@settings(max_examples=50, deadline=None)
def test_of_one_key_at_most_one_turn_runs_and_every_item_is_served_once(schedule: list[tuple[str, int]]) -> None:
    running: set[str] = set()
    served: list[tuple[str, int]] = []

    async def handle(items: Sequence[tuple[str, int]]) -> list[int]:
        (key,) = {item[0] for item in items}
        assert key not in running
        running.add(key)
        await turns_of_the_loop(items[0][1] % 4)
        running.discard(key)
        served.extend(items)
        return [number for _, number in items]

    async def run() -> None:
        async with Turns(handle) as turns:
            calls = []
            for number, (key, pause) in enumerate(schedule):
                calls.append(asyncio.create_task(turns.take(key, (key, number))))
                await turns_of_the_loop(pause)
            assert await asyncio.gather(*calls) == list(range(len(schedule)))

    asyncio.run(run())
    assert sorted(number for _, number in served) == list(range(len(schedule)))
    for wanted in "abc":
        numbers = [number for key, number in served if key == wanted]
        assert numbers == sorted(numbers)
