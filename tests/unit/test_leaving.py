"""Senders that are closed while Kafka is away don't wait for it. Each of these tests would go on until its time-out."""

from __future__ import annotations

import asyncio

import pytest

from schemas.headers import Source
from schemas.topics import Topics
from stream.health import Health
from stream.kafka import KafkaSettings
from stream.outbox import Outbox
from stream.publisher import Publisher, PublisherSettings
from stream.resend import Resender
from tests.factories import event
from tests.harness import free_port


@pytest.fixture
def away() -> KafkaSettings:
    """A broker that is not there."""
    return KafkaSettings(brokers=f"127.0.0.1:{free_port()}")


@pytest.mark.timeout(20)
async def test_an_outbox_drops_what_nobody_waits_for_any_more(away: KafkaSettings) -> None:
    with Outbox(away, Health()) as outbox:
        sending = asyncio.create_task(outbox.send("dead-letters", key=b"k", value=b"v"))
        await asyncio.sleep(0)
        sending.cancel()


@pytest.mark.timeout(20)
def test_a_publisher_that_is_closed_without_a_flush_drops_what_is_queued(away: KafkaSettings) -> None:
    publisher = Publisher(PublisherSettings(away))
    publisher.publish(event())
    publisher.close()


@pytest.mark.timeout(20)
def test_a_resender_that_is_left_by_an_error_drops_what_is_queued(away: KafkaSettings) -> None:
    def leave() -> None:
        with Resender(away, Topics()) as resender:
            resender.send(b"k", b"v", Source(0, 0, 0))
            raise KeyError

    with pytest.raises(KeyError):
        leave()
