"""The dead letters as they stand: of each key the newest record, in bounded memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from pydantic import ValidationError

from schemas.dead_letters import DeadLetter
from schemas.topics import MAX_DEAD_LETTER_BYTES
from stream.kafka import KafkaSettings
from stream.publisher import producer, queue

TIMEOUT_SECONDS = 10.0
BATCH = 200

log = logging.getLogger("librdkafka")


class LetterboxError(RuntimeError):
    """The topic can't be read or written; the message says where and why."""


@dataclass(frozen=True)
class Filed:
    """A dead letter under its key."""

    key: bytes
    letter: DeadLetter


@dataclass(frozen=True)
class Unreadable:
    """The newest record of a key, if it is no dead letter."""

    key: bytes
    partition: int
    offset: int
    problem: str


class Letterbox:
    """Reads and rewrites the dead-letter topic, as no member of any group. A context manager.

    The topic is read twice: for the newest offset of each key, then for those records. So memory holds the keys
    (some 25 MB for 100,000 letters), never the letters, and nothing is written to a disk.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, *, patience_seconds: float = 30.0) -> None:
        settings = {
            "group.id": "freshline.dead-letters",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 16_384,
        }
        self._kafka, self._topic, self._patience = kafka, topic, patience_seconds
        self._consumer, self._news_consumer = (Consumer(kafka.librdkafka() | settings, logger=log) for _ in range(2))
        self._refused: list[str] = []
        self._news_from: dict[int, int] = {}

    def read(self, on_progress: Callable[[float], None] = lambda done: None) -> Iterator[Filed | Unreadable]:
        """What there is now, partition by partition; what comes later is left to `news`.

        Args:
            on_progress: told from time to time how much is read, from 0 to 1.

        Raises:
            LetterboxError: Kafka, the topic or a leader is away.
        """
        starts, ends = self._bounds()
        self._news_from = ends
        whole = 2 * sum(ends.values()) - 2 * sum(starts.values())
        seen = 0
        newest: dict[bytes, tuple[int, int]] = {}
        for message in self._scan(self._consumer, starts, ends):
            seen += 1
            if seen % BATCH == 0:
                on_progress(seen / whole)
            if message.value() is None:
                newest.pop(_key(message), None)
            else:
                newest[_key(message)] = _place(message)
        for message in self._scan(self._consumer, starts, ends) if newest else ():
            seen += 1
            if seen % BATCH == 0:
                on_progress(seen / whole)
            if newest.get(_key(message)) == _place(message):
                yield _opened(message)
        on_progress(1.0)

    def news(self) -> Iterator[tuple[bytes, bytes | None]]:
        """(key, value) of what came since `read` began or the last time; also while that is still being read.

        Without a `read` it begins with all that there is; what was not taken to its end comes once more.

        Raises:
            LetterboxError: as `read`.
        """
        starts, (_, ends) = self._news_from, self._bounds()
        for message in self._scan(self._news_consumer, starts, ends):
            yield _key(message), message.value()
        self._news_from = ends

    def put(self, key: bytes, value: bytes | None) -> None:
        """Queue the newest record of a key; waits while the queue is full."""
        queue(self._producer, self._topic, key=key, value=value, on_delivery=self._delivered)

    def flush(self, timeout_seconds: float = 60.0) -> None:
        """Wait until the broker has what was put.

        Raises:
            LetterboxError: some were refused, or are still queued after `timeout_seconds`.
        """
        left = self._producer.flush(timeout_seconds)
        refused, self._refused = self._refused, []
        if left:
            refused.append(f"{left} not acknowledged within {timeout_seconds:g} s")
        if refused:
            raise LetterboxError(f"{self._topic}: {'; '.join(refused[:3])}")

    @cached_property
    def _producer(self) -> Producer:
        return producer(self._kafka, **{"message.max.bytes": MAX_DEAD_LETTER_BYTES})

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._refused.append(error.str())

    def _bounds(self) -> tuple[dict[int, int], dict[int, int]]:
        """The first and the end offset of each partition."""
        try:
            topic = self._consumer.list_topics(self._topic, timeout=TIMEOUT_SECONDS).topics[self._topic]
            if topic.error is not None:
                raise LetterboxError(f"topic {self._topic}: {topic.error.str()}; `freshline setup` makes it")
            self._check_leaders([number for number, partition in topic.partitions.items() if partition.leader < 0])
            bounds = {
                number: self._consumer.get_watermark_offsets(
                    TopicPartition(self._topic, number), timeout=TIMEOUT_SECONDS
                )
                for number in topic.partitions
            }
        except KafkaException as error:
            raise LetterboxError(f"Kafka at {self._kafka.brokers}: {error.args[0].str()}") from error
        return ({number: low for number, (low, _) in bounds.items()}, {n: high for n, (_, high) in bounds.items()})

    def _check_leaders(self, without: list[int]) -> None:
        if without:
            numbers = ", ".join(map(str, sorted(without)))
            raise LetterboxError(f"topic {self._topic}: no broker leads partition {numbers}; try again when it is back")

    def _scan(self, consumer: Consumer, starts: dict[int, int], ends: dict[int, int]) -> Iterator[Message]:
        """The records from the starts up to the ends, of which some may be gone, the last ones too."""
        waiting = {number for number, end in ends.items() if end > starts.get(number, 0)}
        consumer.assign([TopicPartition(self._topic, number, starts.get(number, 0)) for number in waiting])
        deadline = time.monotonic() + self._patience
        while waiting:
            messages = consumer.consume(BATCH, timeout=0.1)  # it waits for all of a batch, or so long
            if messages:
                deadline = time.monotonic() + self._patience
            elif time.monotonic() > deadline:
                numbers = ", ".join(map(str, sorted(waiting)))
                raise LetterboxError(
                    f"topic {self._topic}: nothing from partition {numbers} within {self._patience:g} s"
                )
            yield from self._wanted(messages, waiting, ends)
        consumer.unassign()

    def _wanted(self, messages: list[Message], waiting: set[int], ends: dict[int, int]) -> Iterator[Message]:
        for message in messages:
            partition, offset = _place(message)
            if error := message.error():
                if error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(partition)
                elif not error.retriable():
                    raise LetterboxError(f"topic {self._topic}, partition {partition}: {error.str()}")
                continue
            if offset < ends[partition]:
                yield message
            if offset >= ends[partition] - 1:
                waiting.discard(partition)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._consumer.close()
        self._news_consumer.close()
        if "_producer" in self.__dict__:  # made when the first record is put
            self._producer.close()


def _key(message: Message) -> bytes:
    key = message.key()
    return key.encode() if isinstance(key, str) else key or b""


def _place(message: Message) -> tuple[int, int]:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    return partition, -1 if offset is None else offset


def _opened(message: Message) -> Filed | Unreadable:
    key, (partition, offset) = _key(message), _place(message)
    try:
        return Filed(key, DeadLetter.model_validate_json(message.value() or b""))
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, detail["loc"]))
        return Unreadable(key, partition, offset, f"{where}: {detail['msg']}" if where else detail["msg"])
