"""Where the topics begin and end, and where each group stands in them, as the brokers say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from stream.admin import admin_client, read_topics
from stream.commits import observer
from stream.kafka import KafkaSettings

TIMEOUT_SECONDS = 5.0


class MonitorError(RuntimeError):
    """What could not be found out, and why."""


@dataclass(frozen=True)
class Position:
    """One group in one partition."""

    begin: int
    end: int
    committed: int | None

    @property
    def next(self) -> int:
        """The offset at which the group goes on, or would.

        That is the beginning where it never committed, where the broker removed what it had still to do, and where its
        commit lies behind the end: then the topic was made anew, and workers start at the earliest.
        """
        return self.begin if self.committed is None or not self.begin <= self.committed <= self.end else self.committed

    @property
    def moved(self) -> bool:
        """Whether the group stands where it does by its own work."""
        return self.committed is not None and self.committed == self.next

    @property
    def overtaken(self) -> bool:
        """Whether the broker removed records that the group had not committed."""
        return self.committed is not None and self.committed < self.begin


@dataclass(frozen=True)
class Topic:
    """A topic's partitions and how long it keeps a record."""

    name: str
    partitions: tuple[int, ...]
    retention_seconds: float
    """Infinite where time alone removes nothing."""


class PositionReader:
    """Asks with timeouts; joins no group. What could not be had is told to `problems` and missing from the answer."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._admin = admin_client(kafka)
        self._kafka = kafka
        self._consumers: dict[str, Consumer] = {}
        self.problems: list[str] = []

    def begin_round(self) -> None:
        """Forget the problems; where there were any, begin with new clients.

        Those that saw a group's coordinator go find it again after many minutes only.
        """
        if self.problems:
            self.close()
            self._consumers, self._admin = {}, admin_client(self._kafka)
        self.problems = []

    def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """These topics, as far as they exist.

        Raises:
            MonitorError: no broker answers.
        """
        names = set(names)
        try:
            states = read_topics(self._admin, names, TIMEOUT_SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise MonitorError(f"{self._kafka.brokers}: {_said(error)}") from error
        self.problems += [f"topic {name} is missing: run `freshline setup`" for name in sorted(names - set(states))]
        return {
            name: Topic(name, tuple(range(state.partitions)), _retention_seconds(state.config))
            for name, state in states.items()
        }

    def committed(self, groups: Mapping[str, Topic]) -> dict[str, dict[int, int | None]]:
        """By group and partition of its topic, where the group goes on; None in each that it has not committed."""
        for group in self._consumers.keys() - groups.keys():
            self._consumers.pop(group).close()
        found = {group: self._commits(group, topic) for group, topic in groups.items()}
        return {group: commits for group, commits in found.items() if commits is not None}

    def bounds(self, topics: Iterable[Topic]) -> dict[tuple[str, int], tuple[int, int]]:
        """By topic and partition, the first offset that is left and the one that comes next."""
        places = [TopicPartition(topic.name, number) for topic in topics for number in topic.partitions]
        begins = self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        ends = self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {place: (begins[place], ends[place]) for place in begins if place in ends}

    def members(self, groups: list[str]) -> dict[str, int]:
        """How many workers are in each group now."""
        futures = self._admin.describe_consumer_groups(groups, request_timeout=TIMEOUT_SECONDS) if groups else {}
        found = {group: self._members(group, future) for group, future in futures.items()}
        return {group: count for group, count in found.items() if count is not None}

    def _commits(self, group: str, topic: Topic) -> dict[int, int | None] | None:
        if group not in self._consumers:
            self._consumers[group] = observer(self._kafka, group)
        asked = [TopicPartition(topic.name, number) for number in topic.partitions]
        try:
            answer = self._consumers[group].committed(asked, timeout=TIMEOUT_SECONDS)
        except KafkaException as error:
            self.problems.append(f"group {group}: {_said(error)}")
            return None
        return {entry.partition: entry.offset if entry.offset >= 0 else None for entry in answer}

    def close(self) -> None:
        """Drop the connections."""
        for consumer in self._consumers.values():
            consumer.close()

    def _members(self, group: str, future: Future[Any]) -> int | None:
        error = future.exception(2 * TIMEOUT_SECONDS)
        if isinstance(error, KafkaException) and error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return 0  # how newer brokers say that there is none
        described = self._result(future, f"group {group}, its members")
        return None if described is None else len(described.members)

    def _offsets(self, places: list[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        asked = dict.fromkeys(places, spec)
        futures = self._admin.list_offsets(asked, request_timeout=TIMEOUT_SECONDS) if places else {}
        found = {
            (place.topic, place.partition): self._result(future, f"topic {place.topic}, partition {place.partition}")
            for place, future in futures.items()
        }
        return {place: answer.offset for place, answer in found.items() if answer is not None}

    def _result(self, future: Future[Any], what: str) -> Any | None:
        try:
            return future.result(2 * TIMEOUT_SECONDS)
        except (KafkaException, TimeoutError) as error:
            self.problems.append(f"{what}: {_said(error)}")
            return None


def _said(error: BaseException) -> str:
    return str(error.args[0].str()) if isinstance(error, KafkaException) else "no answer in time"


def _retention_seconds(config: Mapping[str, str]) -> float:
    kept_ms = int(config.get("retention.ms", "-1"))
    return kept_ms / 1000 if "delete" in config.get("cleanup.policy", "delete") and kept_ms >= 0 else math.inf
