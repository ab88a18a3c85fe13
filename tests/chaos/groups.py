"""Consumer groups from outside: how far they are, and how to send them back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Message, TopicPartition

from tests.harness import Installation

TIMEOUT_SECONDS = 10


def lag(shop: Installation, topic: str, group: str) -> int:
    """Records of a topic that a group has not committed."""
    marks = shop.watermarks(topic)
    with _consumer(shop, group) as consumer:
        committed = consumer.committed([TopicPartition(topic, number) for number in marks], TIMEOUT_SECONDS)
    return sum(marks[each.partition][1] - max(marks[each.partition][0], each.offset) for each in committed)


def rewind(shop: Installation, topic: str, group: str) -> None:
    """Send a group that has no members back to the start of a topic."""
    starts = [TopicPartition(topic, number, low) for number, (low, _) in shop.watermarks(topic).items()]
    with _consumer(shop, group) as consumer:
        consumer.commit(offsets=starts, asynchronous=False)


def records(shop: Installation, topic: str) -> list[Message]:
    """All that is on a topic."""
    ends = {number: high for number, (low, high) in shop.watermarks(topic).items() if high > low}
    with _consumer(shop, "looks on") as consumer:
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        return _read(consumer, ends)


@contextmanager
def _consumer(shop: Installation, group: str) -> Iterator[Consumer]:
    """One that speaks for a group, and never joins it."""
    consumer = Consumer(shop.settings.kafka().librdkafka() | {"group.id": group, "enable.auto.commit": False})
    try:
        yield consumer
    finally:
        consumer.close()


def _read(consumer: Consumer, ends: dict[int, int]) -> list[Message]:
    found: list[Message] = []
    while ends:
        message = consumer.poll(TIMEOUT_SECONDS)
        assert message is not None, f"nothing read within {TIMEOUT_SECONDS} s, still expecting {ends}"
        assert message.error() is None, message.error()
        found.append(message)
        partition, offset = message.partition() or 0, message.offset() or 0
        if offset + 1 >= ends.get(partition, 0):
            ends.pop(partition, None)
    return found
