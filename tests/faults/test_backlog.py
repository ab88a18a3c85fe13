"""What yielding goes by, a group's offsets as a stranger reads them, while Kafka comes and goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from infra.local.stack import LocalStack
from stream.backlog import GroupReader
from tests.harness import Installation, draw, eventually, listing


def test_a_groups_offsets_are_read_again_once_kafka_is_back(
    shop: Installation, mended: LocalStack, tmp_path: Path
) -> None:
    settings, url = shop.settings, draw(tmp_path / "any.jpg", 1)
    reader = GroupReader(settings.kafka(), settings.topics.events)
    group = settings.group(shop.view, "live")
    with shop.worker():
        shop.publish(*(listing(f"p{number}", [url]) for number in range(3)))
        eventually(shop.caught_up)
        ends, committed = reader.read(group)
        assert sum(ends.values()) == 3
        assert {number: end for number, end in ends.items() if end} == {n: at for n, at in committed.items() if at > 0}

        mended.kill("kafka")
        with pytest.raises(KafkaException):
            reader.read(group)
        mended.start("kafka")

        def reads() -> bool:
            try:
                return reader.read(group)[0] == ends
            except KafkaException:
                return False

        eventually(reads, what="the offsets again")
