from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.backlog import Offsets
from stream.delivery import DeliveryWatch, Undelivered


def test_a_partition_stands_from_the_second_look_on_until_its_commit_moves() -> None:
    undelivered = Undelivered()

    assert [undelivered.tick({0: commit}) for commit in (-1, -1, -1, 4, 4)] == [0, 1, 2, 0, 1]


def test_the_partition_that_stood_longest_counts_whatever_the_others_do() -> None:
    undelivered = Undelivered()

    assert [undelivered.tick({0: 7, 1: commit}) for commit in (1, 2, 3)] == [0, 1, 2]
    assert undelivered.tick({1: 3}) == 1


def test_a_partition_with_an_excuse_has_all_its_time_again_afterwards() -> None:
    undelivered = Undelivered()

    assert [undelivered.tick(waiting) for waiting in ({0: 7}, {0: 7}, {}, {0: 7}, {0: 7})] == [0, 1, 0, 0, 1]


class FakeLane:
    """A worker and its broker: what of its partitions is idle, and what the broker says of them."""

    def __init__(self, waiting: Offsets) -> None:
        self.idle: frozenset[int] = frozenset({0, 1})
        self.answer: Offsets | KafkaException = waiting
        self.asked = asyncio.Semaphore(0)
        self._loop = asyncio.get_running_loop()

    def read(self, partitions: AbstractSet[int]) -> Offsets:
        self._loop.call_soon_threadsafe(self.asked.release)
        if isinstance(self.answer, KafkaException):
            raise self.answer
        return {number: commit for number, commit in self.answer.items() if number in partitions}

    def watch(self) -> DeliveryWatch:
        return DeliveryWatch(lambda: self.idle, self.read, seconds=0.02)

    async def was_asked(self, times: int) -> None:
        async with asyncio.timeout(10):
            for _ in range(times):
                await self.asked.acquire()


async def test_a_worker_that_is_delivered_nothing_is_suspect_and_then_stuck() -> None:
    watch = FakeLane({1: 7}).watch()
    assert not watch.is_suspect

    why = await asyncio.wait_for(watch.stuck(), 10)

    assert "none was delivered" in why
    assert watch.is_suspect


@pytest.mark.parametrize(
    "answer",
    [{}, {5: 7}, KafkaException(KafkaError(KafkaError._TRANSPORT))],
    ids=["nothing waits", "it waits in another's partition", "Kafka is away"],
)
async def test_a_worker_with_nothing_to_be_delivered_is_not_stuck(answer: Offsets | KafkaException) -> None:
    lane = FakeLane({})
    lane.answer = answer
    watch = lane.watch()
    watching = asyncio.create_task(watch.stuck())

    await lane.was_asked(25)

    assert not watch.is_suspect
    assert not watching.done()
    watching.cancel()


async def test_a_worker_that_can_take_nothing_on_asks_for_nothing_and_is_not_stuck() -> None:
    lane = FakeLane({1: 7})
    lane.idle = frozenset()
    watch = lane.watch()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch.stuck(), 0.1)

    assert not watch.is_suspect
    assert lane.asked.locked()  # never released
