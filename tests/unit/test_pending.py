from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.monitor.history import History
from stream.monitor.peek import First
from stream.monitor.pending import (
    KEEPING_UP_SECONDS,
    Flow,
    LaneFacts,
    Rates,
    Standing,
    catch_up_seconds,
    lane_state,
    retention_margin,
    standing,
)
from stream.monitor.positions import Position
from stream.monitor.prometheus import with_freshness
from stream.monitor.state import Sample

NOW = 1_800_000_000_000

positions = st.builds(
    lambda begin, size, committed: Position(begin, begin + size, committed),
    st.integers(0, 50),
    st.integers(0, 50),
    st.none() | st.integers(0, 120),
)


def facts(*standings: Standing, retention: float = math.inf, rates: Rates | None = None) -> LaneFacts:
    return LaneFacts("live", "view.live", 1, dict(enumerate(standings)), rates or Rates(), retention)


def first(offset: int, age: float, *, appended: float | None = None) -> First:
    return First(offset, round(NOW - (age if appended is None else appended) * 1000), round(NOW - age * 1000))


@given(positions)
def test_a_group_goes_on_within_what_is_there(position: Position) -> None:
    assert position.begin <= position.next <= position.end
    assert position.moved == (position.committed is not None and position.begin <= position.committed <= position.end)


@pytest.mark.parametrize(
    ("committed", "goes_on", "overtaken"),
    [(None, 10, False), (15, 15, False), (20, 20, False), (3, 10, True), (99, 10, False)],
    ids=["never committed", "on its way", "done", "retention was faster", "the topic is new"],
)
def test_where_a_group_goes_on(committed: int | None, goes_on: int, *, overtaken: bool) -> None:
    position = Position(10, 20, committed)

    assert (position.next, position.overtaken) == (goes_on, overtaken)


@given(st.floats(0, 1e6), st.floats(0, 1e5))
def test_an_age_grows_by_the_clock_alone(age: float, later: float) -> None:
    lane = facts(Standing(Position(0, 9, 0), first(0, age)))

    before, after = (lane_state(lane, NOW + round(seconds * 1000)) for seconds in (0, later))

    assert after.oldest_pending_seconds - before.oldest_pending_seconds == pytest.approx(later, abs=0.01)
    assert after.lag_events == before.lag_events == 9


def test_the_oldest_of_all_partitions_counts_and_a_clock_behind_the_brokers_makes_no_negative_age() -> None:
    lane = lane_state(
        facts(
            Standing(Position(0, 9, 8), first(8, 5)),
            Standing(Position(0, 9, 2), first(4, 70)),
            Standing(Position(0, 9, 9), None),
            Standing(Position(0, 9, 7), first(7, -3)),
        ),
        NOW,
    )

    assert lane.oldest_pending_seconds == 70
    assert [partition.oldest_pending_seconds for partition in lane.partitions] == [5, 70, 0, 0]
    assert [partition.lag_events for partition in lane.partitions] == [1, 5, 0, 2]
    assert lane.lag_events == 8


def test_where_nothing_is_left_before_the_end_nothing_is_pending() -> None:
    lane = lane_state(facts(Standing(Position(0, 100, 40), None)), NOW)

    assert (lane.lag_events, lane.oldest_pending_seconds, lane.catch_up_seconds) == (0, 0, 0)


def test_a_record_that_came_after_the_end_was_read_is_pending() -> None:
    assert Standing(Position(0, 9, 9), first(9, 1)).lag == 1


@given(positions, st.integers(0, NOW))
def test_what_could_not_be_fetched_is_no_younger_than_it_can_be(position: Position, seen_ms: int) -> None:
    earlier = Standing(Position(0, 60, 0), first(0, 500))
    pending = position.next < position.end

    after_pending = standing(position, None, known=False, before=earlier, seen_ms=seen_ms)
    after_nothing = standing(position, None, known=False, before=None, seen_ms=seen_ms)

    assert (after_pending.first and after_pending.first.since_ms) == (NOW - 500_000 if pending else None)
    assert (after_nothing.first and after_nothing.first.since_ms) == (seen_ms if pending else None)


@given(st.lists(st.tuples(st.floats(0.5, 30), st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=60))
def test_rates_are_what_came_and_what_was_done_over_the_last_minutes(steps: list[tuple[float, int, int]]) -> None:
    flow, at, end, committed = Flow(window_seconds=60), 0.0, 1000, 0
    flow.observe(at, {0: Position(0, end, committed)})
    log = [(at, end, committed)]
    for seconds, came, done in steps:
        at, end = at + seconds, end + came
        committed = min(end, committed + done)
        rates = flow.observe(at, {0: Position(0, end, committed)})
        log.append((at, end, committed))

    start = max((entry for entry in log[:-1] if entry[0] <= at - 60), default=log[0])
    assert rates.arrival == pytest.approx((end - start[1]) / (at - start[0]))
    assert rates.work == pytest.approx((committed - start[2]) / (at - start[0]))
    assert (rates.arrived, rates.worked) == (end - 1000, committed)


def test_what_retention_takes_and_a_new_topic_are_no_work() -> None:
    flow = Flow()
    flow.observe(0, {0: Position(0, 100, 10)})
    flow.observe(1, {0: Position(60, 100, 10)})
    assert flow.observe(2, {0: Position(60, 100, 60)}).worked == 0
    assert flow.observe(3, {0: Position(60, 100, 75)}).worked == 15

    flow.observe(4, {0: Position(0, 5, 75)})
    assert flow.observe(5, {0: Position(0, 5, 75)}).worked == 15
    assert flow.observe(6, {0: Position(0, 8, 2)}).worked == 17


def test_a_group_that_never_committed_works_from_the_beginning() -> None:
    flow = Flow()
    flow.observe(0, {0: Position(20, 100, None)})

    assert flow.observe(10, {0: Position(20, 100, 50)}).work == 3


@given(st.integers(0, 10**6), st.floats(0, 1e4), st.floats(0, 1e4))
def test_catching_up_takes_as_long_as_the_rates_say(lag: int, arrival: float, work: float) -> None:
    seconds = catch_up_seconds(lag, arrival, work)

    if lag == 0:
        assert seconds == 0
    elif work > arrival:
        assert seconds is not None
        assert seconds * (work - arrival) == pytest.approx(lag)
    elif lag > work * KEEPING_UP_SECONDS:
        assert seconds is None
    else:
        assert seconds is not None
        assert 0 < seconds <= KEEPING_UP_SECONDS


def test_the_margin_counts_from_when_the_broker_got_the_record_not_from_the_event() -> None:
    parked = Standing(Position(0, 9, 3), first(3, 7200, appended=600))

    assert retention_margin(facts(parked, retention=1000), NOW) == 400
    assert retention_margin(facts(parked, retention=60), NOW) == 0
    assert retention_margin(facts(parked), NOW) == math.inf
    assert retention_margin(facts(Standing(Position(0, 9, 9), None), retention=60), NOW) == math.inf
    assert retention_margin(facts(Standing(Position(5, 9, 3), first(5, 1)), retention=1000), NOW) == 0


def sample(at_seconds: float, pending: float = 0.0) -> Sample:
    return Sample(
        at_ms=round(at_seconds * 1000), oldest_pending_seconds=pending, lag_events=0, arrival_rate=0, work_rate=0
    )


@given(st.lists(st.tuples(st.floats(0.5, 300), st.floats(0, 9000)), max_size=300))
def test_history_is_bounded_in_order_and_keeps_the_worst(steps: list[tuple[float, float]]) -> None:
    history, at = History(span_seconds=600, most=20), 0.0
    worst: dict[int, float] = {}
    for seconds, pending in steps:
        at += seconds
        history.add(sample(at, pending))
        slot = round(at * 1000) // 30_000
        worst[slot] = max(worst.get(slot, 0), pending)

    kept = history.samples(round(at * 1000))

    assert len(kept) <= 20
    assert [each.at_ms for each in kept] == sorted(each.at_ms for each in kept)
    assert all(each.oldest_pending_seconds == worst[each.at_ms // 30_000] for each in kept)
    assert all(each.at_ms >= at * 1000 - 600_001 for each in kept)


def test_samples_get_the_freshness_of_their_moment_or_none() -> None:
    median, p99 = [(100.0, 1.5), (160.0, 2.5)], [(160.0, 9.0)]

    found = with_freshness([sample(99), sample(130), sample(170), sample(400)], median, p99)

    assert [(each.freshness_p50, each.freshness_p99) for each in found] == [
        (None, None),
        (1.5, None),
        (2.5, 9.0),
        (None, None),
    ]
