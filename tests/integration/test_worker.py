"""A real worker on real Kafka and real Qdrant: what it does with each kind of event, and what it commits."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from schemas.dead_letters import Reason
from stream.delivery import WaitingReader
from stream.publisher import PRODUCER
from tests.harness import Installation, draw, event, eventually, freshline, listing
from tests.image_host import image_host


def test_a_listed_product_is_in_the_index_with_all_its_fields(shop: Installation, tmp_path: Path) -> None:
    urls = [draw(tmp_path / f"{side}.jpg", seed) for seed, side in enumerate(("front", "back"))]
    listed = listing(
        "shoe/1", urls, brand="Acme", category="Shoe", price="19.90", currency="EUR", attributes={"size": 42}
    )
    shop.publish(listed)

    with shop.worker() as worker:
        payload = eventually(lambda: shop.payload("shoe/1"))
        # Counted a moment after the point can be read.
        eventually(lambda: worker.metric("freshline_freshness_seconds_count", type="created", lane="live") == 1)

    assert (payload.version, payload.title, payload.price) == (listed.version, "Product shoe/1", 19.9)
    assert (payload.brand, payload.category, payload.currency) == ("Acme", "Shoe", "EUR")
    assert payload.attributes == {"size": 42}
    assert [entry.url for entry in payload.encoded_images] == payload.image_urls == urls
    assert len(shop.vectors("shoe/1")) == 2


def test_a_new_price_keeps_the_vectors_and_neither_fetches_nor_encodes(shop: Installation, tmp_path: Path) -> None:
    url = draw(tmp_path / "mug.jpg", 1)
    with shop.worker() as worker:
        shop.publish(listing("mug", [url], price=5))
        eventually(lambda: shop.payload("mug"))
        before = shop.vectors("mug")
        fetched, encoded = (_count(worker.metric, stage) for stage in ("fetch", "encode"))

        shop.publish(event("updated", "mug", title="Product mug", price=4, images=[{"url": url}]))
        eventually(lambda: shop.payload("mug").price == 4)  # type: ignore[union-attr]

        assert shop.vectors("mug") == before
        assert (fetched, encoded) == (1, 1)
        assert [_count(worker.metric, stage) for stage in ("fetch", "encode")] == [1, 1]
        eventually(lambda: worker.metric("freshline_events_total", outcome="payload_only") == 1)


def _count(metric: object, stage: str) -> float:
    return metric("freshline_stage_seconds_count", stage=stage)  # type: ignore[operator, no-any-return]


def test_each_bad_record_is_a_dead_letter_with_its_reason_and_the_next_is_indexed(
    shop: Installation, tmp_path: Path
) -> None:
    good = draw(tmp_path / "good.jpg", 3)
    truncated = tmp_path / "truncated.jpg"
    truncated.write_bytes((tmp_path / "good.jpg").read_bytes()[:-400])
    huge = tmp_path / "huge.jpg"
    huge.write_bytes(b"\xff\xd8" + bytes(5_000_000))
    producer = Producer(shop.settings.kafka().librdkafka() | PRODUCER)

    def send(key: bytes | None, value: bytes | None) -> None:
        producer.produce(shop.settings.topics.events, key=key, value=value)
        producer.flush()

    shop.publish(listing("gone", [good]))
    shop.publish(listing("missing", [(tmp_path / "missing.jpg").as_uri()]))
    shop.publish(listing("outside", ["file:///etc/hostname"]))
    shop.publish(listing("truncated", [truncated.as_uri()]), listing("huge", [huge.as_uri()]))
    send(b"garbage", b"\x00\xff not JSON")
    send(b"incomplete", b'{"event_id": "1", "type": "created", "product_id": "incomplete"}')
    send(b"another", listing("one", [good]).to_json())
    send(b"\xff\xfe", listing("bytes", [good]).to_json())
    send(b"future", event("deleted", "future", 2**53 - 1).to_json())
    shop.publisher.publish_tombstone("gone")
    shop.publish(listing("next", [good]))

    with shop.worker(FRESHLINE_IMAGE_MAX_BYTES="1000000"):
        eventually(shop.caught_up, what="all offsets committed")

    letters = {(letter.key or b"").decode(errors="replace"): letter for letter in shop.dead_letters()}
    assert {key: letter.reason for key, letter in letters.items()} == {
        "missing": Reason.IMAGE_MISSING,
        "outside": Reason.IMAGE_FORBIDDEN,
        "truncated": Reason.IMAGE_CORRUPT,
        "huge": Reason.IMAGE_TOO_LARGE,
        "garbage": Reason.INVALID_JSON,
        "incomplete": Reason.INVALID_EVENT,
        "another": Reason.KEY_MISMATCH,
        "��": Reason.INVALID_KEY,
        "future": Reason.INVALID_VERSION,
    }
    assert "occurred_at" in letters["incomplete"].message
    assert letters["garbage"].value == b"\x00\xff not JSON"
    assert shop.payloads()["gone"].deleted
    assert shop.payloads()["next"].encoded_images


def test_commits_reach_the_end_of_a_compacted_topic_and_never_pass_unfinished_work(
    shop: Installation, tmp_path: Path
) -> None:
    _compact_at_once(shop)
    with image_host() as host:
        url = draw(tmp_path / "any.jpg", 5)
        slow = host.add("/slow.jpg", (tmp_path / "any.jpg").read_bytes())
        host.hold("/slow.jpg")
        published = _publish_much(shop, url, slow)
        kept = eventually(lambda: _cleaned(shop, published), within=90, what="the broker's log cleaner")

        with shop.worker(FRESHLINE_IMAGE_ALLOW_NETWORKS="127.0.0.0/8", FRESHLINE_IMAGE_TIMEOUT_SECONDS="60") as worker:
            (held, partition) = eventually(lambda: _held(shop, worker_busy=bool(host.requests["/slow.jpg"])))
            eventually(lambda: _others_done(shop, partition), within=30)
            newest = [shop.payload(f"p{product}") for product in range(PRODUCTS)]
            assert {payload and payload.price for payload in newest} == {ROUNDS - 1}
            assert shop.committed().get(partition, 0) <= held

            host.release("/slow.jpg")
            start = time.monotonic()
            eventually(shop.caught_up, within=10, what="the committed offsets at the end")
            print(f"{published} published, {kept} kept; committed to the end {time.monotonic() - start:.1f} s after")
            assert worker.stop() == 0


ROUNDS, PRODUCTS = 20, 60


def _compact_at_once(shop: Installation) -> None:
    settings = {
        "min.compaction.lag.ms": "0",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "0",
    }
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, shop.settings.topics.events, incremental_configs=entries)
    admin = AdminClient(shop.settings.kafka().librdkafka())
    admin.incremental_alter_configs([resource])[resource].result(10)


def _publish_much(shop: Installation, url: str, slow: str) -> int:
    """Many versions of few products in several segments, one product with a slow picture in the middle."""
    for number in range(ROUNDS):
        for product in range(PRODUCTS):
            shop.publisher.publish(listing(f"p{product}", [url], price=number))
        if number == ROUNDS // 2:
            shop.publisher.publish(listing("slow", [slow]))
        shop.publisher.flush()
        time.sleep(0.15)  # the age at which the broker rolls a segment; there is nothing to be awaited
    return ROUNDS * PRODUCTS + 1


def _cleaned(shop: Installation, published: int) -> int | None:
    """How many records are left, once the broker has cleaned each partition."""
    offsets = [offset for _, offset, _ in shop.records(shop.settings.topics.events)]
    return len(offsets) if len(offsets) < published / 2 else None


def _held(shop: Installation, *, worker_busy: bool) -> tuple[int, int] | None:
    """(offset, partition) of the slow product's event, once its picture is asked for."""
    if not worker_busy:
        return None
    for partition, offset, value in shop.records(shop.settings.topics.events):
        if value and json.loads(value)["product_id"] == "slow":
            return offset, partition
    raise AssertionError("the slow product's event is gone")


def _others_done(shop: Installation, but: int) -> bool:
    committed = shop.committed()
    return all(committed.get(number, 0) >= high for number, (_, high) in shop.watermarks().items() if number != but)


def test_a_worker_is_ready_where_the_offsets_that_are_left_hold_no_record(shop: Installation, tmp_path: Path) -> None:
    """A transaction's marker is the last offset of the shoe's partition: no commit will ever pass it."""
    shoe = listing("shoe", [draw(tmp_path / "shoe.jpg", 1)])
    producer = Producer(shop.settings.kafka().librdkafka() | PRODUCER | {"transactional.id": shop.view})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(shop.settings.topics.events, key=b"shoe", value=shoe.to_json())
    producer.commit_transaction(30)
    reader = WaitingReader(shop.settings.kafka(), shop.settings.topics.events, shop.settings.group(shop.view, "live"))
    assert len(reader.read(frozenset(range(4)))) == 1

    stuck_seconds = 3.0
    with shop.worker(FRESHLINE_STUCK_SECONDS=str(stuck_seconds)) as worker:
        eventually(shop.committed, what="the shoe's commit")
        until = time.monotonic() + 1.5 * stuck_seconds
        while time.monotonic() < until:
            assert not worker.exited(within=0.2), worker.log.read_text()
            assert worker.ready()
        assert not shop.caught_up()
        assert reader.read(frozenset(range(4))) == {}
        assert worker.stop() == 0


def test_sigterm_finishes_what_is_in_flight_and_commits_it(shop: Installation, tmp_path: Path) -> None:
    shop.publish(*(listing(f"p{number}", [draw(tmp_path / f"{number}.jpg", number)]) for number in range(200)))

    with shop.worker() as worker:
        eventually(lambda: worker.metric("freshline_events_total") > 0)
        assert worker.stop() == 0

    done = len(shop.payloads())
    assert sum(shop.committed().values()) == done > 0


def test_a_worker_listens_on_loopback_for_metrics_and_nowhere_else(shop: Installation) -> None:
    with shop.worker() as worker:
        shop.publisher.publish_tombstone("anything")
        shop.publisher.flush()
        eventually(lambda: worker.metric("freshline_events_total") == 1)

        assert _listening(worker.pid) == {("127.0.0.1", worker.port)}


def _listening(pid: int) -> set[tuple[str, int]]:
    return {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.type == socket.SOCK_STREAM
    }


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "freshline setup"),
        ({"FRESHLINE_QDRANT_URL": "http://127.0.0.1:9", "FRESHLINE_QDRANT_GRPC_PORT": "9"}, "Qdrant"),
        ({"FRESHLINE_BUNDLE": "/nowhere"}, "/nowhere"),
        ({"FRESHLINE_MAX_IN_FLIGHT": "none"}, "FRESHLINE_MAX_IN_FLIGHT"),
    ],
    ids=["no view", "no Qdrant", "no bundle", "bad setting"],
)
def test_a_worker_that_cannot_start_says_why_in_one_line(
    installation: dict[str, str], env: dict[str, str], said: str
) -> None:
    done = freshline("worker", env=installation | env)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_that_cannot_reach_kafka_at_its_start_says_so(shop: Installation) -> None:
    done = freshline("worker", env=shop.env | {"FRESHLINE_KAFKA_BROKERS": "127.0.0.1:9"})

    assert done.returncode == 1
    assert "Kafka at 127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
