"""How far a consumer group is, asked by whoever is not in it."""

from __future__ import annotations

import logging

from confluent_kafka import Consumer

from stream.kafka import KafkaSettings

log = logging.getLogger("librdkafka")


def observer(kafka: KafkaSettings, group: str) -> Consumer:
    """A consumer that never joins, to call `committed` of.

    `AdminClient.list_consumer_group_offsets` would ask the same, but takes the process down (librdkafka 2.16.1, a
    segmentation fault) where the group's coordinator moves meanwhile.
    """
    return Consumer(kafka.librdkafka() | {"group.id": group, "enable.auto.commit": False}, logger=log)
