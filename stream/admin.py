"""Creating the topics, and saying where an existing one differs from what it must be."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its __all__ lacks three of them
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.topics import TopicSpec
from stream.kafka import KafkaSettings

TIMEOUT_SECONDS = 30.0

log = logging.getLogger("librdkafka")


class TopicError(RuntimeError):
    """A topic that could not be made, or that is not as it must be; the message names it and the setting."""


def ensure_topics(kafka: KafkaSettings, specs: list[TopicSpec], *, partitions: int, replication: int) -> list[str]:
    """Create the topics that are missing and check the others; safe to repeat.

    Returns:
        The names of those created.

    Raises:
        TopicError: see there. An existing topic is never changed: partitions must not grow silently, since products
            would change their partition and lose their order.
    """
    admin = AdminClient(kafka.librdkafka(), logger=log)
    try:
        present = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
        missing = [spec for spec in specs if spec.name not in present]
        new = [
            NewTopic(spec.name, num_partitions=partitions, replication_factor=replication, config=spec.config)
            for spec in missing
        ]
        for future in admin.create_topics(new, operation_timeout=TIMEOUT_SECONDS).values() if new else ():
            future.result()
        problems = _differences(admin, [spec for spec in specs if spec.name in present])
    except KafkaException as error:
        raise TopicError(f"Kafka at {kafka.brokers}: {error.args[0].str()}") from error
    if problems:
        raise TopicError("; ".join(problems))
    return [spec.name for spec in missing]


def _differences(admin: AdminClient, specs: list[TopicSpec]) -> list[str]:
    if not specs:
        return []
    resources = {spec.name: ConfigResource(ResourceType.TOPIC, spec.name) for spec in specs}
    futures = admin.describe_configs(list(resources.values()))
    problems = []
    for spec in specs:
        actual = futures[resources[spec.name]].result(TIMEOUT_SECONDS)
        problems += [
            f"topic {spec.name}: {name} is {actual[name].value}, not {value}"
            for name, value in spec.config.items()
            if actual[name].value != value
        ]
    return problems
