from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest

from stream.health import Health
from stream.watchdog import Headway, Stillness, Stuck, Watchdog


@dataclass
class FakeWork:
    oldest: int | None = None
    settled: int = 0


def test_stillness_counts_the_ticks_since_its_sign_changed_last() -> None:
    stillness = Stillness()

    assert [stillness.tick(sign) for sign in (1, 1, 1, 2, 2, None, None, None, 2, 2)] == [0, 1, 2, 0, 1, 0, 0, 0, 0, 1]


def test_an_event_that_stays_the_oldest_is_no_headway_whatever_else_is_settled() -> None:
    work = FakeWork(oldest=7)
    headway = Headway(work, Health())

    for tick in range(10):
        work.settled += 1
        assert headway.tick() == tick

    work.oldest = 8
    assert headway.tick() == 0


def test_nothing_in_flight_is_no_trouble() -> None:
    headway = Headway(FakeWork(), Health())

    assert [headway.tick() for _ in range(3)] == [0, 0, 0]


def test_while_a_part_is_away_nothing_is_stuck_and_afterwards_it_has_all_its_time_again() -> None:
    health = Health()
    headway = Headway(FakeWork(oldest=7), health)
    assert [headway.tick() for _ in range(3)] == [0, 1, 2]

    with health.holding("qdrant"):
        assert [headway.tick() for _ in range(3)] == [0, 0, 0]

    assert [headway.tick() for _ in range(3)] == [0, 1, 2]


def test_waiting_for_a_hosts_turn_is_an_excuse_only_while_others_are_settled() -> None:
    health, queued, work = Health(), True, FakeWork(oldest=7)
    health.add_queue(lambda: queued)
    headway = Headway(work, health)

    for _ in range(5):
        work.settled += 1
        assert headway.tick() == 0
    assert [headway.tick() for _ in range(3)] == [1, 2, 3]

    work.settled += 1
    assert headway.tick() == 0
    queued = False
    assert headway.tick() == 9


async def test_a_worker_whose_event_gets_nowhere_is_stuck_and_its_stacks_name_the_place(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(waits_for_ever())
    ended = threading.Event()
    watchdog = Watchdog(FakeWork(oldest=1), Health(), 0.3, leave_seconds=0.1, exit_now=lambda _: ended.set())

    async with watchdog:
        assert not watchdog.is_suspect
        with pytest.raises(Stuck, match="no headway"):
            await watchdog.stuck()
        assert watchdog.is_suspect

    assert await asyncio.to_thread(ended.wait, 10), "it did not leave, and was not ended"
    task.cancel()
    said = capfd.readouterr().err
    assert "1 x " in said
    assert "waits_for_ever (test_watchdog.py:" in said
    assert "> wait (locks.py:" in said
    assert 'File "' in said  # of the threads


async def test_a_loop_that_stands_still_is_ended_by_the_thread() -> None:
    ended: list[int] = []
    watchdog = Watchdog(FakeWork(), Health(), 0.3, leave_seconds=1, exit_now=ended.append)

    async with watchdog:
        until = time.monotonic() + 30
        while not ended and time.monotonic() < until:
            time.sleep(0.01)  # noqa: ASYNC251  # the loop stands still: that is what is tested

    assert ended == [70]


async def test_a_watchdog_that_is_left_ends_nothing() -> None:
    ended: list[int] = []
    watchdog = Watchdog(FakeWork(), Health(), 0.06, leave_seconds=0, exit_now=ended.append)

    async with watchdog:
        await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251  # whatever follows may keep the loop busy
    watchdog._thread.join(10)

    assert not watchdog._thread.is_alive()
    assert ended == []
