"""`freshline setup` on real Kafka and Qdrant."""

from __future__ import annotations

from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.harness import Installation


def test_setup_makes_topics_view_and_alias_and_repeating_it_changes_nothing(
    installation: dict[str, str], tmp_path: Path
) -> None:
    shop = Installation(installation | {"FRESHLINE_INDEXED_ATTRIBUTES": "size"}, tmp_path)

    first, again = shop.run("setup", "--partitions", "3"), shop.run("setup", "--partitions", "3")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "created" in first.stdout
    assert "topics: all there" in again.stdout
    assert len(shop.watermarks()) == 3
    assert shop.view.startswith(f"{shop.settings.alias}-")
    schema = shop.indexes()
    assert {"product_id", "version", "revision", "category", "brand", "price", "deleted", "indexed_at"} <= schema
    assert "attributes.size" in schema
    shop.close()


def test_setup_refuses_a_topic_that_is_set_otherwise_and_names_the_setting(
    installation: dict[str, str], tmp_path: Path
) -> None:
    shop = Installation(installation, tmp_path)
    admin = AdminClient(shop.settings.kafka().librdkafka())
    topic = NewTopic(shop.settings.topics.events, num_partitions=1, replication_factor=1)
    admin.create_topics([topic])[shop.settings.topics.events].result(10)

    done = shop.run("setup")

    assert done.returncode == 1
    assert f"topic {shop.settings.topics.events}: cleanup.policy is delete, not compact" in done.stderr
    shop.close()


def test_setup_refuses_tombstones_that_would_go_too_early_and_makes_nothing(
    installation: dict[str, str], tmp_path: Path
) -> None:
    shop = Installation(installation | {"FRESHLINE_TOMBSTONE_RETENTION_DAYS": "7"}, tmp_path)

    done = shop.run("setup")

    assert done.returncode == 1
    assert f"topic {shop.settings.topics.replay}: retention.ms 604800000 + segment.ms 86400000 is 8 days" in done.stderr
    assert "set FRESHLINE_TOMBSTONE_RETENTION_DAYS to 9 or more" in done.stderr
    admin = AdminClient(shop.settings.kafka().librdkafka())
    assert shop.settings.topics.events not in admin.list_topics(timeout=10).topics
    shop.close()


def test_setup_without_kafka_says_so(installation: dict[str, str], tmp_path: Path) -> None:
    shop = Installation(installation, tmp_path)
    shop.env["FRESHLINE_KAFKA_BROKERS"] = "127.0.0.1:9"

    done = shop.run("setup")

    assert done.returncode == 1
    assert "Kafka at 127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
    shop.close()
