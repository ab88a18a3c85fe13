"""Reading topics from one offset to another, as no member of any group and without committing anything."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.kafka import KafkaSettings

PATIENCE_SECONDS = 60.0
_BATCH = 1000

log = logging.getLogger("librdkafka")

Spans = Mapping[int, tuple[int, int]]
"""By partition: the first offset to read, and the one after the last."""


def size(spans: Spans) -> int:
    """How many offsets that is, compacted ones included."""
    return sum(max(0, end - start) for start, end in spans.values())


class ReadingError(RuntimeError):
    """A topic that is not there or does not answer; the message names it."""


class TopicReader:
    """A context manager; one reading at a time."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._consumer = self._open("freshline.reader")

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """By partition, how far a group is; partitions that it never committed are left out."""
        consumer = self._open(group)
        try:
            asked = [TopicPartition(topic, number) for number in self._partitions(topic)]
            found = consumer.committed(asked, timeout=PATIENCE_SECONDS)
            return {entry.partition: entry.offset for entry in found if entry.offset >= 0}
        finally:
            consumer.close()

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """By partition, the first offset that is left and the one that comes next."""
        return {
            number: self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=PATIENCE_SECONDS)
            for number in self._partitions(topic)
        }

    def first_since(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """By partition, the first offset appended at that time or later; what comes next where there is none."""
        bounds = self.bounds(topic)
        asked = [TopicPartition(topic, number, timestamp_ms) for number in bounds]
        found = self._consumer.offsets_for_times(asked, timeout=PATIENCE_SECONDS)
        return {each.partition: each.offset if each.offset >= 0 else bounds[each.partition][1] for each in found}

    def read(self, topic: str, spans: Spans) -> Generator[Message]:
        """Every record of the spans that compaction and retention have left, in order within its partition.

        Raises:
            ReadingError: nothing comes for a minute.
            KafkaException: the broker refuses.
        """
        ends = {number: end for number, (start, end) in spans.items() if start < end}
        self._consumer.assign([TopicPartition(topic, number, spans[number][0]) for number in ends])
        try:
            heard = time.monotonic()
            while ends:
                messages = self._consumer.consume(_BATCH, timeout=0.2)
                if messages:
                    yield from self._within(messages, ends)
                    heard = time.monotonic()  # after the caller has had its time with them
                elif time.monotonic() - heard > PATIENCE_SECONDS:
                    raise ReadingError(f"topic {topic}: nothing read for {PATIENCE_SECONDS:g} s")
        finally:
            with suppress(RuntimeError):  # closed already
                self._consumer.unassign()

    def _within(self, messages: list[Message], ends: dict[int, int]) -> Iterator[Message]:
        """Those before their partition's end; `ends` loses each partition that has reached it."""
        for message in messages:
            number, offset = message.partition() or 0, message.offset() or 0
            error = message.error()
            if error and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if number not in ends:
                continue
            if not error and offset < ends[number]:
                yield message
            if offset + (not error) >= ends[number]:
                del ends[number]
                self._consumer.incremental_unassign([TopicPartition(message.topic() or "", number)])

    def _partitions(self, topic: str) -> list[int]:
        found = self._consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic]
        if found.error is not None or not found.partitions:
            raise ReadingError(f"topic {topic}: {found.error.str() if found.error else 'no partitions'}")
        return sorted(found.partitions)

    def _open(self, group: str) -> Consumer:
        settings = {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",  # where retention was faster than we
            "queued.max.messages.kbytes": 16 * 1024,
        }
        return Consumer(self._kafka.librdkafka() | settings, logger=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._consumer.close()
