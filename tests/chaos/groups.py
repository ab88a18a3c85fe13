"""Consumer groups from outside: how far they are, and how to send them back."""

from __future__ import annotations

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.harness import Installation

TIMEOUT_SECONDS = 10


def lag(shop: Installation, topic: str, group: str) -> int:
    """Records of a topic that a group has not committed."""
    committed = _committed(shop, group, topic)
    marks = shop.watermarks(topic)
    return sum(max(0, high - max(low, committed.get(number, 0))) for number, (low, high) in marks.items())


def _committed(shop: Installation, group: str, topic: str) -> dict[int, int]:
    asked = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, each) for each in shop.watermarks(topic)])]
    admin = AdminClient(shop.settings.kafka().librdkafka())  # answers only as long as it is held
    found = admin.list_consumer_group_offsets(asked)[group].result(TIMEOUT_SECONDS)
    return {each.partition: each.offset for each in found.topic_partitions or [] if each.offset >= 0}


def rewind(shop: Installation, topic: str, group: str) -> None:
    """Send a group that has no members back to the start of a topic."""
    starts = [TopicPartition(topic, number, low) for number, (low, _) in shop.watermarks(topic).items()]
    admin = AdminClient(shop.settings.kafka().librdkafka())
    changed = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, starts)])[group]
    assert not [each.error for each in changed.result(TIMEOUT_SECONDS).topic_partitions if each.error]


def records(shop: Installation, topic: str) -> list[Message]:
    """All that is on a topic."""
    ends = {number: high for number, (low, high) in shop.watermarks(topic).items() if high > low}
    consumer = Consumer(shop.settings.kafka().librdkafka() | {"group.id": "looks on", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        return _read(consumer, ends)
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
