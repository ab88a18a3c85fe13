"""What the demo's shop stands on: a broker and an index, started here and gone at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from freshline.settings import Settings
from indexer.store import LOCAL
from infra.local.stack import LocalStack
from stream.admin import ensure_topics

PARTITIONS = 4


@dataclass(frozen=True)
class Stack:
    """A running broker and index."""

    settings: Settings
    remark: str
    """What its figures mean."""


Report = Callable[[str], None]


@contextmanager
def embedded(root: Path, report: Report) -> Iterator[Stack]:
    """All in this process: librdkafka's mock cluster and Qdrant's local mode; needs Python alone."""
    report("starting an embedded broker and index")
    # Its logger: librdkafka says on stderr that it is mocking.
    quiet = logging.getLogger("librdkafka")
    broker = Producer({"bootstrap.servers": "embedded:1", "test.mock.num.brokers": 1}, logger=quiet)
    try:
        (address,) = broker.list_topics(timeout=10).brokers.values()
        settings = _settings(root, kafka_brokers=f"{address.host}:{address.port}", qdrant_url=LOCAL)
        for topic in settings.topics.specs():
            broker.list_topics(topic.name, timeout=10)  # asked for, and so made: it can't be told to
        remark = "This broker delivers every 1.5 s only. On real Kafka: make demo STACK=local"
        yield Stack(settings, remark)
    finally:
        broker.close()


@contextmanager
def local(root: Path, report: Report) -> Iterator[Stack]:
    """Real Kafka and a real Qdrant server on this machine, in a folder of their own."""
    stack = LocalStack(root.parent / "stack")
    try:
        stack.up(report)
        env = {name.removeprefix("FRESHLINE_").lower(): value for name, value in stack.env().items()}
        settings = _settings(root, **env)
        report("kafka: making the topics")
        ensure_topics(settings.kafka(), settings.topics.specs(), partitions=PARTITIONS, replication=1)
        yield Stack(settings, "On real Kafka and a real Qdrant, with all parts sharing this machine.")
    finally:
        stack.down(delete=True)


MOST = {"embedded": 20_000}
"""Products at most: the embedded broker drops what is beyond 5 MiB a partition, read or not."""
STACKS = {"embedded": embedded, "local": local}


def _settings(root: Path, **stack: Any) -> Settings:
    """The user's settings (the model, the limits), but where everything is: that is the demo's own."""
    own: dict[str, Any] = {
        "kafka_security_protocol": "PLAINTEXT",
        "topic_prefix": "",
        "versions": "timestamp",
        "qdrant_api_key": None,
        "alias": "products",
        "view": None,
        "image_root": root,
    }
    return Settings(**own, **stack)
