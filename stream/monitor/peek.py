"""The first record that a group has not committed, and when it came: one small fetch for each lagging partition."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.headers import InvalidHeader, Source
from stream.kafka import KafkaSettings
from stream.monitor.positions import Position

PATIENCE_SECONDS = 5.0
KEEP_SECONDS = 600.0
"""How long a record is taken to be still there: compaction may remove it, where a newer one of its product follows."""

log = logging.getLogger("librdkafka")


@dataclass(frozen=True)
class First:
    """The first record that is left at or behind an offset."""

    offset: int
    appended_ms: int
    """To its own topic."""
    since_ms: int
    """To `catalog.events`."""


@dataclass(frozen=True)
class _Known:
    first: First | None
    end: int
    until: float

    def holds(self, end: int) -> bool:
        return time.monotonic() < self.until and (self.first is not None or self.end == end)


class Peeker:
    """A context manager. Joins no group, commits nothing; what it saw once is not fetched again."""

    def __init__(self, kafka: KafkaSettings, patience_seconds: float = PATIENCE_SECONDS) -> None:
        settings = {
            "group.id": "freshline.monitor",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",  # where retention was faster than we
            "fetch.message.max.bytes": 65_536,
            "fetch.wait.max.ms": 100,
            "queued.min.messages": 1,
            "queued.max.messages.kbytes": 4_096,
        }
        self._consumer = Consumer(kafka.librdkafka() | settings, logger=log)
        self._patience = patience_seconds
        self._known: dict[tuple[str, int, int], _Known] = {}
        self._used: set[tuple[str, int, int]] = set()
        self.fetched = 0
        """Partitions that were fetched from."""

    def firsts(self, topic: str, positions: Mapping[int, Position]) -> dict[int, First | None]:
        """By partition, its first record at or behind `next`, or None if there is none.

        What can't be found out in time is missing. On a compacted topic that record may lie far behind, and there may
        be none although offsets are left.
        """
        found: dict[int, First | None] = {}
        unknown: dict[int, Position] = {}
        for number, position in positions.items():
            place = (topic, number, position.next)
            self._used.add(place)
            known = self._known.get(place)
            if position.next >= position.end:
                found[number] = None
            elif known and known.holds(position.end):
                found[number] = known.first
            else:
                unknown[number] = position
        for number, first in self._fetch(topic, unknown).items() if unknown else ():
            position = unknown[number]
            until = time.monotonic() + KEEP_SECONDS
            self._known[(topic, number, position.next)] = _Known(first, position.end, until)
            found[number] = first
        return found

    def forget(self) -> None:
        """Drop what was not asked for since the last call."""
        self._known = {place: known for place, known in self._known.items() if place in self._used}
        self._used = set()

    def _fetch(self, topic: str, positions: Mapping[int, Position]) -> dict[int, First | None]:
        self.fetched += len(positions)
        self._consumer.assign([TopicPartition(topic, number, at.next) for number, at in positions.items()])
        found: dict[int, First | None] = {}
        deadline = time.monotonic() + self._patience
        try:
            while len(found) < len(positions) and (left := deadline - time.monotonic()) > 0:
                message = self._consumer.poll(left)
                if message is not None:
                    self._take(message, found)
        except KafkaException as error:
            log.info("the monitor's fetch: %s", error)  # what is missing is named by whoever asked
        finally:
            self._consumer.unassign()
        return found

    def _take(self, message: Message, found: dict[int, First | None]) -> None:
        number, error = message.partition(), message.error()
        if number is None or number in found or (error and error.code() != KafkaError._PARTITION_EOF):
            return
        found[number] = None if error else first_of(message)
        self._consumer.incremental_unassign([TopicPartition(message.topic() or "", number)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._consumer.close()


def first_of(message: Message) -> First:
    """A record's place and times; a parked or replayed one says when its event came to `catalog.events`."""
    appended_ms = message.timestamp()[1]
    headers = dict(cast(list[tuple[str, bytes | None]], message.headers() or []))
    try:
        since_ms = Source.read(headers).timestamp_ms
    except InvalidHeader:
        since_ms = appended_ms
    return First(message.offset() or 0, appended_ms, since_ms)
