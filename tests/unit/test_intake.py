from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from stream.intake import Intake
from stream.offsets import Partition
from stream.records import Record
from tests.factories import record

P0 = Partition("catalog.events", 0)


class Work:
    """`process` for an intake: each record waits until it is finished, or until it is failed."""

    def __init__(self) -> None:
        self.running: dict[int, asyncio.Future[str]] = {}
        self.most = 0
        self.cancelled: list[int] = []

    async def __call__(self, taken: Record) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.running[taken.offset] = future
        self.most = max(self.most, len(self.running))
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled.append(taken.offset)
            raise
        finally:
            del self.running[taken.offset]

    async def started(self, *offsets: int) -> None:
        async with asyncio.timeout(5):
            while not set(offsets) <= set(self.running):  # noqa: ASYNC110  # which event: any of these records
                await asyncio.sleep(0)

    def finish(self, offset: int) -> None:
        self.running[offset].set_result("indexed")


def yes() -> bool:
    return True


def no() -> bool:
    return False


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def intake(work: Work) -> AsyncIterator[Intake]:
    opened = Intake(work, 3)
    yield opened
    await opened.close(0)


async def accept(intake: Intake, *offsets: int, is_current: Callable[[], bool] = yes) -> None:
    for offset in offsets:
        await intake.accept(record(b"", offset=offset), is_current=is_current)


async def test_a_record_is_settled_when_it_is_done_and_not_before(intake: Intake, work: Work) -> None:
    await accept(intake, 0)
    await work.started(0)
    assert intake.frontier.committable() == {}

    work.finish(0)
    assert await intake.drain(5) == 0
    assert intake.frontier.committable() == {P0: 1}


async def test_records_are_worked_on_beside_each_other(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1, 2)

    await work.started(0, 1, 2)


async def test_no_more_are_taken_than_there_is_room_for(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1, 2)
    await work.started(0, 1, 2)
    fourth = asyncio.create_task(accept(intake, 3))
    done, _ = await asyncio.wait([fourth], timeout=0.01)
    assert not done

    work.finish(1)
    await fourth
    await work.started(0, 2, 3)
    assert work.most == 3


async def test_it_has_room_while_it_waits_for_the_consumer(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1)
    assert intake.has_room

    await accept(intake, 2)
    assert not intake.has_room

    intake.allow(0)
    await work.started(0, 1, 2)
    for offset in range(3):
        work.finish(offset)
    await intake.drain(5)
    assert not intake.has_room


async def test_a_record_of_an_assignment_that_ended_while_it_waited_is_left_alone(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1, 2)
    await work.started(0, 1, 2)
    ours = True
    waiting = asyncio.create_task(accept(intake, 3, is_current=lambda: ours))
    await asyncio.sleep(0)
    ours = False
    work.finish(0)
    await waiting

    assert set(work.running) == {1, 2}
    assert intake.in_flight == 2


async def test_records_that_are_left_alone_take_no_room(intake: Intake, work: Work) -> None:
    async with asyncio.timeout(5):
        await accept(intake, *range(10), is_current=no)
        await accept(intake, 0, 1, 2)

    await work.started(0, 1, 2)


async def test_a_record_that_is_delivered_twice_is_worked_on_once(intake: Intake, work: Work) -> None:
    async with asyncio.timeout(5):
        await accept(intake, 0, 0, 0, 0, 0)
    await work.started(0)

    assert intake.in_flight == 1


async def test_draining_waits_for_what_is_in_flight(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1)
    await work.started(0, 1)
    drained = asyncio.create_task(intake.drain(5))
    work.finish(0)
    await asyncio.sleep(0.01)
    assert not drained.done()

    work.finish(1)
    assert await drained == 0


async def test_draining_ends_at_its_deadline_and_settles_nothing_that_is_unfinished(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1)
    await work.started(0, 1)
    work.finish(1)

    assert await intake.drain(0.01) == 1
    assert intake.frontier.committable() == {}
    assert work.cancelled == []


async def test_draining_nothing_returns_at_once(intake: Intake) -> None:
    assert await intake.drain(60) == 0


async def test_what_finishes_after_its_partition_was_revoked_is_not_committed(intake: Intake, work: Work) -> None:
    await accept(intake, 0)
    await work.started(0)
    intake.revoke([P0])
    work.finish(0)
    await intake.drain(5)

    assert intake.frontier.committable() == {}


async def test_a_failure_surfaces_and_its_record_is_never_settled(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1)
    await work.started(0, 1)
    work.running[0].set_exception(RuntimeError("a bug"))
    work.finish(1)

    with pytest.raises(RuntimeError, match="a bug"):
        await intake.failure()
    await intake.drain(5)
    assert intake.frontier.committable() == {}


async def test_the_first_of_several_failures_surfaces(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1)
    await work.started(0, 1)
    work.running[1].set_exception(RuntimeError("first"))
    await asyncio.sleep(0.01)
    work.running[0].set_exception(RuntimeError("second"))
    await intake.drain(5)

    with pytest.raises(RuntimeError, match="first"):
        await intake.failure()


async def test_who_waits_for_a_failure_may_give_up_and_another_still_hears_of_it(intake: Intake, work: Work) -> None:
    impatient = asyncio.create_task(intake.failure())
    await asyncio.sleep(0)
    impatient.cancel()
    await accept(intake, 0)
    await work.started(0)
    work.running[0].set_exception(RuntimeError("a bug"))

    with pytest.raises(RuntimeError, match="a bug"):
        await intake.failure()


async def test_closing_cancels_what_does_not_end_in_time(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1)
    await work.started(0, 1)
    await intake.close(0.01)

    assert sorted(work.cancelled) == [0, 1]
    assert intake.frontier.committable() == {}


async def test_closing_lets_what_ends_in_time_end(intake: Intake, work: Work) -> None:
    await accept(intake, 0)
    await work.started(0)
    closing = asyncio.create_task(intake.close(5))
    await asyncio.sleep(0)
    work.finish(0)
    await closing

    assert intake.frontier.committable() == {P0: 1}


async def test_a_closed_intake_takes_nothing_and_keeps_nobody_waiting(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1, 2)
    await work.started(0, 1, 2)
    waiting = asyncio.create_task(accept(intake, 3))
    await asyncio.sleep(0)
    await intake.close(0)

    async with asyncio.timeout(5):
        await waiting
        await accept(intake, 4)
    assert work.running == {}


async def test_while_nothing_is_allowed_nothing_is_let_in(intake: Intake, work: Work) -> None:
    await accept(intake, 0)
    await work.started(0)
    intake.allow(0)
    waiting = asyncio.create_task(accept(intake, 1))
    work.finish(0)
    done, _ = await asyncio.wait([waiting], timeout=0.01)
    assert not done
    assert intake.frontier.committable() == {P0: 1}

    intake.allow(1)
    await waiting
    await work.started(1)


async def test_fewer_are_let_in_once_fewer_are_allowed(intake: Intake, work: Work) -> None:
    await accept(intake, 0, 1, 2)
    await work.started(0, 1, 2)
    intake.allow(1)
    waiting = asyncio.create_task(accept(intake, 3))
    work.finish(0)
    work.finish(1)
    done, _ = await asyncio.wait([waiting], timeout=0.01)
    assert not done

    work.finish(2)
    await waiting
    await work.started(3)


async def test_closing_keeps_nobody_waiting_while_nothing_is_allowed(intake: Intake, work: Work) -> None:
    intake.allow(0)
    waiting = asyncio.create_task(accept(intake, 0))
    await asyncio.sleep(0)
    await intake.close(0)

    async with asyncio.timeout(5):
        await waiting
    assert work.running == {}
