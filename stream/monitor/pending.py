"""The rules: from positions, first records and the clock to how late a lane is. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from stream.monitor.peek import First
from stream.monitor.positions import Position
from stream.monitor.state import Lane, LaneState, PartitionState

WINDOW_SECONDS = 120.0
"""What rates are measured over."""
KEEPING_UP_SECONDS = 10.0
"""Of work: a lane that has no more than this waiting keeps up, even if as much comes as goes."""


@dataclass(frozen=True)
class Standing:
    """A group in a partition, and what it has to do next there."""

    position: Position
    first: First | None

    @property
    def lag(self) -> int:
        """Offsets from the first record that is left to the end."""
        return 0 if self.first is None else max(1, self.position.end - self.first.offset)


@dataclass(frozen=True)
class Rates:
    """Records a second, and in all since the monitor started."""

    arrival: float = 0.0
    work: float = 0.0
    arrived: int = 0
    worked: int = 0


@dataclass(frozen=True)
class LaneFacts:
    """What was found out about a lane. Nothing in it grows old: ages are reckoned when somebody asks."""

    lane: Lane
    group: str
    members: int
    standings: Mapping[int, Standing]
    rates: Rates
    retention_seconds: float


class Flow:
    """How fast records come to a lane and are committed, over the last minutes."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._window = window_seconds
        self._last: dict[int, Position] = {}
        self._arrived = self._worked = 0
        self._seen: deque[tuple[float, int, int]] = deque()

    def observe(self, at_seconds: float, positions: Mapping[int, Position]) -> Rates:
        """Take note of where things stand at this moment of a steady clock.

        What retention removes and what a group that starts anew passes over is no work.
        """
        for number, position in positions.items():
            before = self._last.get(number, position)
            self._arrived += max(0, position.end - before.end)
            self._worked += max(0, position.next - before.next) if position.moved else 0
        self._last.update(positions)
        self._seen.append((at_seconds, self._arrived, self._worked))
        while len(self._seen) > 2 and self._seen[1][0] <= at_seconds - self._window:
            self._seen.popleft()
        return self._rates()

    def _rates(self) -> Rates:
        (start, arrived, worked), (end, *_) = self._seen[0], self._seen[-1]
        seconds = end - start
        if seconds <= 0:
            return Rates(arrived=self._arrived, worked=self._worked)
        return Rates(
            (self._arrived - arrived) / seconds, (self._worked - worked) / seconds, self._arrived, self._worked
        )


def standing(
    position: Position, first: First | None, *, known: bool, before: Standing | None, seen_ms: int
) -> Standing:
    """A standing, also where the fetch brought nothing: then what is pending came no earlier than what was before.

    Args:
        position: now.
        first: the record that was found.
        known: whether it, or that there is none, was found out.
        before: the standing of the last round.
        seen_ms: when that was.
    """
    if known or position.next >= position.end:
        return Standing(position, first)
    if before is not None and before.first is not None:
        earlier = before.first
        return Standing(position, First(max(position.next, earlier.offset), earlier.appended_ms, earlier.since_ms))
    return Standing(position, First(position.next, seen_ms, seen_ms))


def lane_state(facts: LaneFacts, now_ms: int) -> LaneState:
    """A lane at this moment."""
    partitions = [_partition(number, standing, now_ms) for number, standing in sorted(facts.standings.items())]
    lag = sum(partition.lag_events for partition in partitions)
    margin = retention_margin(facts, now_ms)
    return LaneState(
        lane=facts.lane,
        group=facts.group,
        members=facts.members,
        lag_events=lag,
        oldest_pending_seconds=max((partition.oldest_pending_seconds for partition in partitions), default=0.0),
        arrival_rate=facts.rates.arrival,
        work_rate=facts.rates.work,
        catch_up_seconds=catch_up_seconds(lag, facts.rates.arrival, facts.rates.work),
        retention_margin_seconds=None if math.isinf(margin) else margin,
        partitions=partitions,
    )


def _partition(number: int, standing: Standing, now_ms: int) -> PartitionState:
    position, first = standing.position, standing.first
    return PartitionState(
        partition=number,
        begin_offset=position.begin,
        end_offset=position.end,
        committed_offset=position.committed,
        lag_events=standing.lag,
        oldest_pending_seconds=_age(first.since_ms, now_ms) if first else 0.0,
    )


def catch_up_seconds(lag: int, arrival: float, work: float) -> float | None:
    """Until nothing is pending at these rates; None if it would never be."""
    if lag == 0:
        return 0.0
    if work > arrival:
        return lag / (work - arrival)
    return lag / work if lag <= work * KEEPING_UP_SECONDS else None


def retention_margin(facts: LaneFacts, now_ms: int) -> float:
    """Seconds until the broker may remove something pending: 0 where it did, infinite where it won't."""
    if math.isinf(facts.retention_seconds):
        return math.inf
    if any(standing.position.overtaken for standing in facts.standings.values()):
        return 0.0
    ages = [_age(standing.first.appended_ms, now_ms) for standing in facts.standings.values() if standing.first]
    return max(0.0, facts.retention_seconds - max(ages)) if ages else math.inf


def _age(since_ms: int, now_ms: int) -> float:
    return max(0, now_ms - since_ms) / 1000
