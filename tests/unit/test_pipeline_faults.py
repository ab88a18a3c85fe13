"""Infrastructure that is away, and faults of ours: nothing is lost, nothing is given up in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import grpc
import pytest

from indexer.points import Point
from indexer.store import IndexUnusable, Store
from indexer.writer import Written, write
from schemas.dead_letters import Reason
from stream.limits import LimitSettings, TooManyDeadLetters
from tests.factories import NOW, VIEW
from tests.line import Line, seen, until


class Away(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


async def test_while_qdrant_is_away_the_event_is_held_and_then_written(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, troubles = line.store.run, [Away(), Away(), Away()]

    async def run(operation: Any) -> Any:
        if troubles:
            raise troubles.pop()
        return await real(operation)

    monkeypatch.setattr(line.store, "run", run)
    monkeypatch.setattr("stream.stages.wait_exponential_jitter", lambda **_: lambda _state: 0.0)

    assert await line.put(1) == "indexed"
    assert line.letters.letters == []


async def test_while_qdrant_is_away_the_worker_is_not_ready(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    real, back = line.store.run, asyncio.Event()

    async def run(operation: Any) -> Any:
        if not back.is_set():
            raise Away
        return await real(operation)

    monkeypatch.setattr(line.store, "run", run)
    monkeypatch.setattr("stream.stages.wait_exponential_jitter", lambda **_: lambda _state: 0.001)
    task = asyncio.create_task(line.put(1))
    await until(lambda: line.health.away == ["qdrant"])
    back.set()

    assert await task == "indexed"
    assert line.health.away == []


async def test_if_qdrant_refuses_us_the_worker_stops_and_nothing_is_given_up(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refused(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.NOT_FOUND

    async def run(_: Any) -> Any:
        raise Refused

    monkeypatch.setattr(line.store, "run", run)

    with pytest.raises(IndexUnusable, match=VIEW):
        await line.put(1)
    assert line.letters.letters == []


async def test_a_fault_of_ours_with_one_event_is_its_dead_letter(line: Line) -> None:
    line.encoder.error = RuntimeError("no such device")

    assert await line.put(1) == "dead_lettered"
    (letter,) = line.letters.letters
    assert (letter.reason, letter.message) == (Reason.INTERNAL, "RuntimeError: no such device")
    assert line.held() is None


async def test_a_fault_of_ours_with_every_event_stops_the_worker(store: Store) -> None:
    async with AsyncExitStack() as exits:
        line = await Line(store, limits=LimitSettings(run=3)).open(exits)
        line.encoder.error = RuntimeError("no such device")
        for number in range(3):
            assert await line.put(1, product_id=f"p{number}") == "dead_lettered"

        with pytest.raises(TooManyDeadLetters):
            await line.put(1, product_id="p3")
        assert len(line.letters.letters) == 3


async def test_one_point_that_qdrant_refuses_does_not_fail_those_beside_it(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(client: Any, view: str, points: Sequence[Point]) -> list[Written]:
        if any(point.payload.product_id == "bad" for point in points):
            raise ValueError("not this one")
        return write(client, view, points)

    monkeypatch.setattr("stream.stages.write", refuses)
    names = ["p1", "bad", "p2"]

    outcomes = await asyncio.gather(*(line.put(1, product_id=name) for name in names))

    assert outcomes == ["indexed", "dead_lettered", "indexed"]
    assert [letter.product_id for letter in line.letters.letters] == ["bad"]


async def test_an_event_that_is_given_up_in_the_middle_is_done_when_it_comes_again(line: Line) -> None:
    line.fetcher.gates["a"] = asyncio.Event()
    task = asyncio.create_task(line.put(1, "a"))
    await until(lambda: line.fetcher.requests)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    line.fetcher.gates["a"].set()

    assert await line.put(1, "a") in ("indexed", "stale")
    assert line.vectors() == seen("a")


async def test_an_event_from_the_future_is_as_old_as_its_record(line: Line) -> None:
    """A publisher's clock that is ahead must not make us look fresher than we are."""
    await line.put(1, "a", occurred_at=(NOW + timedelta(minutes=1)).isoformat())

    assert line.value("freshness_seconds_sum", view=VIEW, lane="live", type="created") == 1
