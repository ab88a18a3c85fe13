"""Topics as the broker has them: making those that are missing, and refusing those that are not as they must be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

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
REACH_SECONDS = 10.0
"""After which no broker is there."""

Check = Callable[[Mapping[str, Mapping[str, str]]], list[str]]
"""From each topic's settings to what is wrong with them."""

log = logging.getLogger("librdkafka")


class TopicError(RuntimeError):
    """A topic that could not be made, or that is not as it must be; the message names it and the setting."""


@dataclass(frozen=True)
class TopicState:
    """A topic as the broker has it."""

    partitions: int
    replicas: int
    """Of the partition that has the fewest."""
    in_sync: int
    """Of the partition that has the fewest."""
    config: Mapping[str, str] = field(repr=False)


def admin_client(kafka: KafkaSettings) -> AdminClient:
    """An administrator whose librdkafka speaks through the logger of that name."""
    return AdminClient(kafka.librdkafka(), logger=log)


def read_topics(admin: AdminClient, names: Iterable[str], timeout: float = REACH_SECONDS) -> dict[str, TopicState]:
    """These topics as far as they exist.

    Raises:
        KafkaException: the broker can't be reached, or refuses.
    """
    present = admin.list_topics(timeout=timeout).topics
    resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in names if name in present}
    futures = admin.describe_configs(list(resources.values())) if resources else {}
    states = {}
    for name, resource in resources.items():
        partitions = present[name].partitions.values()
        replicas = min((len(partition.replicas) for partition in partitions), default=0)
        in_sync = min((len(partition.isrs) for partition in partitions), default=0)
        config = {key: entry.value for key, entry in futures[resource].result(timeout).items()}
        states[name] = TopicState(len(partitions), replicas, in_sync, config)
    return states


def ensure_topics(
    kafka: KafkaSettings,
    specs: list[TopicSpec],
    *,
    partitions: int,
    replication: int,
    check: Check = lambda _: [],
) -> list[str]:
    """Create the topics that are missing and check the others; safe to repeat. Nothing is made if a check fails.

    Args:
        kafka: where.
        specs: what each topic must be.
        partitions: of each new topic.
        replication: of each new topic.
        check: what is wrong with all their settings together, as they are or would be.

    Returns:
        The names of those created.

    Raises:
        TopicError: see there. An existing topic is never changed: partitions must not grow silently, since products
            would change their partition and lose their order.
    """
    admin = admin_client(kafka)
    try:
        present = read_topics(admin, [spec.name for spec in specs])
        missing = [spec for spec in specs if spec.name not in present]
        configs = {name: state.config for name, state in present.items()}
        problems = [
            problem for spec in specs if spec not in missing for problem in spec.differences(configs[spec.name])
        ]
        problems += check(configs | {spec.name: spec.config for spec in missing})
        if problems:
            raise TopicError(f"{'; '.join(problems)} (kafka-configs.sh --alter changes a topic)")
        _create(admin, missing, partitions=partitions, replication=replication)
    except KafkaException as error:
        raise TopicError(f"Kafka at {kafka.brokers}: {error.args[0].str()}") from error
    return [spec.name for spec in missing]


def _create(admin: AdminClient, specs: list[TopicSpec], *, partitions: int, replication: int) -> None:
    new = [
        NewTopic(spec.name, num_partitions=partitions, replication_factor=replication, config=spec.config)
        for spec in specs
    ]
    for future in admin.create_topics(new, operation_timeout=TIMEOUT_SECONDS).values() if new else ():
        future.result()
