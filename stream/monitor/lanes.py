"""Every lane of every view, looked at in one round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self, get_args

from schemas.topics import Topics
from stream.kafka import KafkaSettings
from stream.monitor.peek import Peeker
from stream.monitor.pending import Flow, LaneFacts, standing
from stream.monitor.positions import MonitorError, Position, PositionReader, Topic
from stream.monitor.state import Lane

LANES: tuple[Lane, ...] = get_args(Lane)
GroupName = Callable[[str, str], str]
"""From a view and a lane to the name of its consumer group."""


class Lanes:
    """A context manager; one round at a time."""

    def __init__(self, kafka: KafkaSettings, topics: Topics, group: GroupName) -> None:
        self._topics: dict[Lane, str] = {"live": topics.events, "retry": topics.retry, "replay": topics.replay}
        self._group = group
        self._reader = PositionReader(kafka)
        self._peeker = Peeker(kafka)
        self._flows: dict[str, Flow] = {}
        self._before: dict[str, LaneFacts] = {}
        self._before_ms = _now_ms()

    def round(self, views: Iterable[str]) -> tuple[dict[str, list[LaneFacts]], list[str]]:
        """By view, its lanes, and what could not be found out; for that, what is known from before goes on.

        Commits are read before the ends, so that no commit lies behind an end because time passed between them.

        Raises:
            MonitorError: no broker answers, or none knows anything.
        """
        views, started_ms = list(views), _now_ms()
        self._reader.begin_round()
        topics = self._reader.topics(self._topics.values())
        groups = {self._group(view, lane): topics[self._topics[lane]] for view in views for lane in self._lanes(topics)}
        committed = self._reader.committed(groups)
        bounds = self._reader.bounds(topics.values()) if committed else {}
        if not bounds:
            raise MonitorError("; ".join(self._reader.problems) or "there is nothing to look at")
        members = self._reader.members(list(groups))
        found: dict[str, list[LaneFacts]] = {}
        for view in views:
            for lane in self._lanes(topics):
                group, topic = self._group(view, lane), topics[self._topics[lane]]
                positions = _positions(topic, committed.get(group), bounds)
                facts = self._facts(lane, group, topic, positions, members.get(group))
                found.setdefault(view, []).append(facts)
        self._close_round(found, started_ms)
        return found, self._reader.problems

    def _lanes(self, topics: Mapping[str, Topic]) -> list[Lane]:
        return [lane for lane in LANES if self._topics[lane] in topics]

    def _facts(
        self, lane: Lane, group: str, topic: Topic, positions: dict[int, Position], members: int | None
    ) -> LaneFacts:
        before = self._before.get(group)
        standings = dict(before.standings) if before else {}
        firsts = self._peeker.firsts(topic.name, positions)
        for number, position in positions.items():
            if number not in firsts:
                self._reader.problems.append(f"topic {topic.name}, partition {number}: no record read in time")
            standings[number] = standing(
                position,
                firsts.get(number),
                known=number in firsts,
                before=standings.get(number),
                seen_ms=self._before_ms,
            )
        if members is None:
            members = before.members if before else 0
        rates = self._flows.setdefault(group, Flow()).observe(time.monotonic(), positions)
        return LaneFacts(lane, group, members, standings, rates, topic.retention_seconds)

    def _close_round(self, found: Mapping[str, list[LaneFacts]], started_ms: int) -> None:
        self._before = {facts.group: facts for lanes in found.values() for facts in lanes}
        self._before_ms = started_ms
        self._flows = {group: flow for group, flow in self._flows.items() if group in self._before}
        self._peeker.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._peeker.__exit__(kind, error, _)
        self._reader.close()


def _positions(
    topic: Topic, committed: dict[int, int | None] | None, bounds: Mapping[tuple[str, int], tuple[int, int]]
) -> dict[int, Position]:
    """By partition, where the group stands, as far as that was found out."""
    places = {number: bounds.get((topic.name, number)) for number in topic.partitions}
    return {
        number: Position(*place, committed.get(number))
        for number, place in places.items()
        if committed is not None and place is not None
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
