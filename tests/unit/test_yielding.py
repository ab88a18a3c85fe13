"""What a worker that yields takes on, on random ages of the live lane; and how that age is told from offsets."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.backlog import ALONE_SECONDS, Backlog, GroupReader, Offsets
from stream.serving import Serving
from stream.throttle import Throttle
from stream.yielding import Yielding, YieldSettings

PATIENCE = 2.0
ages = st.none() | st.floats(0, 100)
quiet = st.floats(0, PATIENCE / 2)
behind = st.floats(PATIENCE, 100, exclude_min=True)
most = st.integers(1, 1000)


@given(most, st.lists(ages))
def test_the_limit_is_never_above_the_most_and_zero_only_while_paused(limit: int, history: list[float | None]) -> None:
    throttle = Throttle(limit, PATIENCE)
    for age in history:
        throttle.observe(age)
        assert 0 <= throttle.limit <= limit
        assert (throttle.limit == 0) == throttle.paused


@given(most, st.lists(ages), st.lists(quiet, min_size=40, max_size=40))
def test_it_never_starves_once_no_live_event_waits(limit: int, history: list[float | None], calm: list[float]) -> None:
    throttle = Throttle(limit, PATIENCE)
    for age in history:
        throttle.observe(age)
    throttle.observe(calm[0])
    assert throttle.limit >= 1

    for age in calm[1:]:
        throttle.observe(age)
    assert throttle.limit == limit


@given(most, st.lists(ages), behind, st.lists(st.floats(PATIENCE / 2, 100, exclude_min=True)))
def test_it_pauses_at_once_when_live_events_wait_and_until_they_wait_for_half_as_long(
    limit: int, history: list[float | None], age: float, then: list[float]
) -> None:
    throttle = Throttle(limit, PATIENCE)
    for earlier in history:
        throttle.observe(earlier)

    for each in (age, *then):
        throttle.observe(each)
        assert throttle.paused


@given(most, st.lists(ages), st.floats(PATIENCE / 2, PATIENCE, exclude_min=True))
def test_it_slows_down_by_half_between(limit: int, history: list[float | None], age: float) -> None:
    throttle = Throttle(limit, PATIENCE)
    for earlier in history:
        throttle.observe(earlier)
    before = throttle.limit

    throttle.observe(age)
    assert throttle.limit == (max(1, before // 2) if before else 0)


def test_what_can_not_be_seen_makes_it_slow_and_does_not_stop_it() -> None:
    throttle = Throttle(384, PATIENCE)
    throttle.free()
    for _ in range(20):
        throttle.observe(None)

    assert throttle.limit == 1


@given(st.integers(1, 50), st.integers(2, 50), st.floats(0.1, 1))
def test_a_group_that_stands_still_is_seen_to_wait_for_as_long_as_it_does(events: int, polls: int, step: float) -> None:
    backlog = Backlog()
    assert backlog.waits(0, {0: 7, 1: 3}, {0: 7, 1: 3}) == 0
    for number in range(polls):
        now = step * (1 + number)
        waits = backlog.waits(now, {0: 8 + events + number, 1: 3}, {0: 7, 1: 3})
        assert waits == pytest.approx(step * number)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=100), st.integers(0, 3))
def test_a_group_that_is_so_many_polls_late_is_seen_to_wait_for_no_longer(counts: list[int], late: int) -> None:
    backlog, ends, total = Backlog(), [0], 0
    for count in counts:
        total += count
        ends.append(total)
        committed = ends[max(0, len(ends) - 1 - late)]
        assert backlog.waits(len(ends), {0: total}, {0: committed}) <= max(0, late - 1)


def test_a_group_without_commits_waits_for_all_and_an_empty_partition_for_nothing() -> None:
    backlog = Backlog()
    backlog.waits(0, {0: 0, 1: 5}, {})

    assert backlog.waits(3, {0: 0, 1: 5}, {0: -1001}) == 3


def test_one_record_that_is_never_done_counts_for_a_minute_and_two_for_ever() -> None:
    """The last record of a transaction is its marker, which nobody is ever given."""
    one, two = Backlog(), Backlog()
    for now in range(200):
        waits = one.waits(now, {0: 8}, {0: 7})
        assert waits == (now if now <= ALONE_SECONDS else 0)
        assert two.waits(now, {0: 9}, {0: 7}) == min(now, 120)


class Reader:
    """A group whose commits stand where they are put, on a topic that ends at 10."""

    def __init__(self) -> None:
        self.committed: Offsets = {0: 0}
        self.asked: list[str] = []

    def read(self, group: str) -> tuple[Offsets, Offsets]:
        self.asked.append(group)
        return {0: 10}, self.committed


class Alias:
    view: str | None = "A"


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def alias() -> Alias:
    return Alias()


def yielding(reader: Any, alias: Any, limits: list[int], **settings: Any) -> Yielding:
    fields: dict[str, Any] = {
        "view": "A",
        "lane": "replay",
        "most": 100,
        "patience_seconds": 1e-9,
        "niceness": 0,
    } | settings
    return Yielding(
        YieldSettings(**fields),
        cast(Serving, alias),
        cast(GroupReader, reader),
        lambda view: f"{view}.live",
        limits.append,
    )


async def test_a_replay_worker_pauses_while_its_own_live_lane_is_behind_and_goes_on(
    reader: Reader, alias: Alias
) -> None:
    limits: list[int] = []
    worker = yielding(reader, alias, limits)
    for _ in range(3):
        await worker.look()
    assert worker.paused
    assert limits[-1] == 0

    reader.committed = {0: 10}
    await worker.look()
    assert limits[-1] >= 1
    assert set(reader.asked) == {"A.live"}


async def test_the_live_worker_of_a_view_yields_until_its_view_serves(reader: Reader, alias: Alias) -> None:
    limits: list[int] = []
    worker = yielding(reader, alias, limits, view="B", lane="live")
    for _ in range(3):
        await worker.look()
    assert limits[-1] == 0

    alias.view = "B"
    await worker.look()
    assert limits[-1] == 100
    assert set(reader.asked) == {"A.live"}


@pytest.mark.parametrize("settings", [{"lane": "live"}, {"lane": "retry"}, {"patience_seconds": 0}])
async def test_who_has_nobody_to_yield_to_never_looks(reader: Reader, alias: Alias, settings: dict[str, Any]) -> None:
    limits: list[int] = []
    await yielding(reader, alias, limits, **settings).look()

    assert (limits, reader.asked) == ([100], [])


async def test_without_a_serving_view_nobody_yields(reader: Reader, alias: Alias) -> None:
    alias.view = None
    limits: list[int] = []
    await yielding(reader, alias, limits, view="B").look()

    assert limits == [100]


def test_every_thread_of_a_process_gets_nice() -> None:
    code = (
        "import os, threading, pathlib; from stream.niceness import be_nice; stop = threading.Event();"
        "threading.Thread(target=stop.wait).start(); be_nice(7);"
        "tasks = pathlib.Path('/proc/self/task');"
        "ids = [int(path.name) for path in tasks.iterdir()] if tasks.exists() else [0];"
        "print(*[os.getpriority(os.PRIO_PROCESS, number) for number in ids]); stop.set()"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert set(printed) == {"7"}
