from __future__ import annotations

import asyncio

import pytest

from stream.health import Health


def test_a_part_is_away_for_as_long_as_somebody_waits_for_it() -> None:
    health = Health()
    with health.holding("qdrant"):
        with health.holding("qdrant"), health.holding("images"):
            assert health.away == ["images", "qdrant"]
        assert health.away == ["qdrant"]
    assert health.away == []


async def test_what_takes_long_is_waited_for() -> None:
    health, done = Health(), asyncio.Event()
    task = asyncio.create_task(health.watch("kafka", done.wait(), seconds=0.01))
    async with asyncio.timeout(5):
        while not health.waits_for("kafka"):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    done.set()

    assert await task
    assert health.away == []


async def test_an_error_and_a_cancellation_go_through() -> None:
    async def fail() -> None:
        raise ValueError("no")

    health, never = Health(), asyncio.Event()
    with pytest.raises(ValueError, match="no"):
        await health.watch("kafka", fail())
    task = asyncio.create_task(health.watch("kafka", never.wait(), seconds=0))
    async with asyncio.timeout(5):
        while not health.away:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert health.away == []
