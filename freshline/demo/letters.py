"""What was given up on, as the dead-letter topic says."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition

from schemas.dead_letters import DeadLetter
from stream.kafka import KafkaSettings


def read_dead_letters(kafka: KafkaSettings, topic: str) -> list[DeadLetter]:
    """All of them; blocks for a moment."""
    consumer = Consumer(
        kafka.librdkafka() | {"group.id": "demo.letters", "enable.auto.commit": False, "enable.partition.eof": True}
    )
    try:
        waiting = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in waiting])
        letters = []
        while waiting and (message := consumer.poll(5)) is not None:
            if message.error():  # the end of a partition
                waiting.discard(message.partition() or 0)
            elif (value := message.value()) is not None:
                letters.append(DeadLetter.model_validate_json(value))
        return letters
    finally:
        consumer.close()
