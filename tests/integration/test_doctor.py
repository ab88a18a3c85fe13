"""`freshline doctor` on real Kafka and Qdrant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from freshline.doctor import clock, kafka, lanes, qdrant
from freshline.doctor.findings import Status
from freshline.doctor.site import Site
from schemas.headers import Source
from schemas.payloads import point_id
from stream.resend import Resender
from tests.harness import Installation, draw, eventually, listing


def doctor(shop: Installation, *options: str) -> tuple[int, dict[str, dict[str, str]], dict[str, Any] | None]:
    """The exit status, what each check found, and the reconciliation."""
    done = shop.run("doctor", "--json", *options)
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] == (done.returncode == 0)
    return done.returncode, {check["name"]: check for check in document["checks"]}, document["reconcile"]


def alter(shop: Installation, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(shop.settings.kafka().librdkafka())
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)


def test_a_sound_installation_passes_and_a_broken_view_is_found_by_the_command(
    shop: Installation, tmp_path: Path
) -> None:
    with shop.worker() as worker:
        shop.publish(listing("shoe", [draw(tmp_path / "a.jpg", 1)]))
        eventually(shop.caught_up)
        status, checks, reconciled = doctor(shop)
        worker.stop()

    assert (status, reconciled) == (0, None)
    assert {check["status"] for check in checks.values()} == {"ok"}
    assert "live: 0 behind, 1 worker(s)" in checks["groups"]["message"]

    view = shop.view
    shop.store.run_sync(lambda client: client.delete(view, [point_id("shoe")], wait=True))
    status, checks, reconciled = doctor(shop, "--repair")

    assert status == 1
    assert reconciled is not None
    assert (reconciled["counts"]["missing"], reconciled["repair"]["resent"]) == (1, 1)
    assert checks["reconcile"]["message"].startswith("1 of 1 products differ: 1 missing")
    printed = shop.run("doctor", "--reconcile")
    assert (printed.returncode, "pending" in printed.stdout) == (0, True)


def test_with_kafka_away_the_rest_is_still_looked_at(shop: Installation) -> None:
    shop.env["FRESHLINE_KAFKA_BROKERS"] = "127.0.0.1:9"

    status, checks, reconciled = doctor(shop, "--reconcile")

    assert (status, reconciled) == (1, None)
    assert "127.0.0.1:9" in checks["kafka"]["message"]
    assert "FRESHLINE_KAFKA" in checks["kafka"]["advice"]
    assert [checks[name]["status"] for name in ("topics", "groups", "reconcile")] == ["skipped"] * 3
    assert [checks[name]["status"] for name in ("bundle", "qdrant", "view", "collection")] == ["ok"] * 4


def test_with_qdrant_away_the_rest_is_still_looked_at(shop: Installation) -> None:
    shop.env |= {"FRESHLINE_QDRANT_URL": "http://127.0.0.1:9", "FRESHLINE_QDRANT_GRPC_PORT": "9"}

    status, checks, _ = doctor(shop)

    assert status == 1
    assert checks["qdrant"]["status"] == "failed"
    assert checks["view"]["message"] == "needs: qdrant"
    assert [checks[name]["status"] for name in ("kafka", "topics", "retentions")] == ["ok"] * 3


def test_before_setup_it_says_to_run_it(installation: dict[str, str], tmp_path: Path) -> None:
    shop = Installation(installation, tmp_path)

    status, checks, _ = doctor(shop)

    assert status == 1
    assert "freshline setup" in checks["topics"]["advice"]
    assert "freshline setup" in checks["view"]["advice"]
    shop.close()


def test_each_setting_of_a_topic_or_a_view_that_is_not_as_it_must_be_is_named(shop: Installation) -> None:
    topics, view = shop.settings.topics, shop.view
    alter(shop, topics.events, "min.compaction.lag.ms", "0")
    alter(shop, topics.retry, "retention.ms", str(30 * 24 * 3600 * 1000))
    admin = AdminClient(shop.settings.kafka().librdkafka())
    admin.create_partitions([NewPartitions(topics.events, 6)])[topics.events].result(10)
    shop.store.run_sync(lambda client: client.delete_payload_index(view, "deleted", wait=True))

    def grown() -> bool:
        with Site(shop.settings) as site:
            return site.topics[topics.events].partitions == 6

    eventually(grown)
    with Site(shop.settings) as site:
        found = kafka.topics(site)
        assert found.status is Status.FAILED
        assert "min.compaction.lag.ms is 0, not 259200000 or more" in found.message
        assert f"topic {topics.replay} has 4 partitions, {topics.events} has 6" in found.message
        kept = kafka.retentions(site)
        assert (kept.status, topics.retry in kept.message) == (Status.FAILED, True)
        collection = qdrant.collection(site)
        assert (collection.status, collection.message) == (
            Status.FAILED,
            "the payload index of deleted is missing, not bool",
        )
        assert "freshline setup" in collection.advice


def test_a_bundle_of_another_space_than_the_view_s_is_named(shop: Installation, tmp_path: Path) -> None:
    from tests.bundles import tiny_bundle

    tiny_bundle(tmp_path / "tiny")
    shop.env["FRESHLINE_BUNDLE"] = str(tmp_path / "tiny")

    status, checks, _ = doctor(shop)

    assert (status, checks["bundle"]["status"], checks["view"]["status"]) == (1, "ok", "failed")
    assert "FRESHLINE_BUNDLE" in checks["view"]["message"]


def test_a_lane_that_nobody_works_on_is_warned_of_and_what_retention_took_is_a_failure(shop: Installation) -> None:
    topics = shop.settings.topics
    with Resender(shop.settings.kafka(), topics) as resender:
        for offset in range(3):
            resender.send(b"p1", b"{}", Source(0, offset, 1))
    with Site(shop.settings) as site:
        found = lanes.groups(site)
        assert (found.status, "replay: 3 behind, 0 worker(s)" in found.message) == (Status.WARNING, True)
        assert "freshline worker --lane replay" in found.advice
        assert lanes.overtaking(site).status is Status.OK
        assert clock.against_kafka(site).status is Status.SKIPPED

        site.topics[topics.replay].config["retention.ms"] = "1"  # type: ignore[index]
        assert "a record has waited" in lanes.overtaking(site).message

    from confluent_kafka import Consumer, TopicPartition

    group = shop.settings.group(shop.view, "replay")
    consumer = Consumer(shop.settings.kafka().librdkafka() | {"group.id": group})
    number = next(partition for partition, (_, high) in shop.watermarks(topics.replay).items() if high)
    consumer.commit(offsets=[TopicPartition(topics.replay, number, 1)], asynchronous=False)
    consumer.close()
    admin = AdminClient(shop.settings.kafka().librdkafka())
    for future in admin.delete_records([TopicPartition(topics.replay, number, 3)]).values():
        future.result(10)

    with Site(shop.settings) as site:
        lost = lanes.overtaking(site)
        assert lost.status is Status.FAILED
        assert "retention removed 2 record(s)" in lost.message


def test_the_age_of_the_newest_event_tells_a_clock_that_is_behind(shop: Installation, tmp_path: Path) -> None:
    shop.publish(listing("shoe", [draw(tmp_path / "a.jpg", 1)]))

    with Site(shop.settings) as site:
        assert clock.against_kafka(site).status is Status.OK
        assert clock.against_qdrant(site).status is Status.OK
