"""Reconciling on real Kafka and Qdrant: views that were broken on purpose, and one under traffic.

The command itself is in `test_doctor.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from qdrant_client import QdrantClient, models

from freshline.doctor.findings import Status
from freshline.doctor.reconciliation import Reconcile
from freshline.doctor.site import Site
from indexer.wire import named_vectors
from schemas.dead_letters import DeadLetter, Reason
from schemas.events import Event
from schemas.headers import VIEW, Source
from schemas.payloads import Payload, point_id, revision_of
from stream.publisher import producer
from stream.resend import Resender
from tests.factories import NOW
from tests.harness import Installation, draw, event, eventually, listing
from tests.image_host import image_host


def reconcile(shop: Installation, **options: bool) -> dict[str, Any]:
    """What `freshline doctor --reconcile --json` says of it."""
    asked = Reconcile(**options)  # type: ignore[arg-type]
    with Site(shop.settings) as site:
        finding = asked.check.examine(site)
    found = asked.as_json()
    assert found is not None
    assert (finding.status is Status.OK) == (found["differences"] == 0), finding
    return found


def named(found: dict[str, Any]) -> dict[str, set[str]]:
    """The products of each kind that has any."""
    return {kind: {each["product_id"] for each in examples} for kind, examples in found["examples"].items()}


def on_qdrant(shop: Installation, operation: Callable[[QdrantClient, str], Any]) -> Any:
    view = shop.view
    return shop.store.run_sync(lambda client: operation(client, view))


def put(shop: Installation, payload: Payload, rows: list[list[float]], point: str | None = None) -> None:
    """Write a point as no worker would: without any guard."""
    written = models.PointStruct(
        id=point or point_id(payload.product_id),
        payload=payload.model_dump(mode="json"),
        vector=named_vectors(rows),
    )
    on_qdrant(shop, lambda client, view: client.upsert(view, [written], wait=True))


def changed(shop: Installation, product: str, **fields: Any) -> Payload:
    payload = shop.payload(product)
    assert payload is not None
    return payload.model_copy(update=fields)


def resent(shop: Installation) -> Iterator[tuple[str, bytes | None, dict[str, bytes]]]:
    """(product id, value, headers) of all that was sent again."""
    topic = shop.settings.topics.replay
    ends = {number: high for number, (_, high) in shop.watermarks(topic).items() if high}
    consumer = Consumer(shop.settings.kafka().librdkafka() | {"group.id": "reader", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, 0) for number in ends])
    for _ in range(sum(ends.values())):
        message = consumer.poll(10)
        assert message is not None
        assert not message.error()
        yield (message.key() or b"").decode(), message.value(), dict(message.headers() or ())  # type: ignore[arg-type]
    consumer.close()


@pytest.fixture
def stocked(shop: Installation, tmp_path: Path) -> Installation:
    """Twelve products of two pictures, two of which were deleted; all settled, and no worker any more."""
    urls = [draw(tmp_path / f"{number}.jpg", number) for number in range(2)]
    with shop.worker() as worker:
        shop.publish(*(listing(name, urls) for name in (*(f"p{number}" for number in range(10)), "gone", "nulled")))
        images = [{"url": url} for url in urls]
        shop.publish(event("deleted", "gone"), event("updated", "p1", title="New", images=images))
        shop.publisher.publish_tombstone("nulled")
        shop.publisher.flush()
        eventually(shop.caught_up)
        worker.stop()
    return shop


def test_a_view_as_the_log_wants_it_has_no_differences(stocked: Installation) -> None:
    found = reconcile(stocked)

    assert (found["events"], found["products"], found["points"], found["differences"]) == (15, 12, 12, 0)
    assert not any(found["counts"].values())


def break_on_purpose(shop: Installation) -> dict[str, set[str]]:
    """One break of each kind; which products it makes of which kind."""
    rows = shop.vectors("p1")
    on_qdrant(shop, lambda client, view: client.delete(view, [point_id("p0")], wait=True))
    put(shop, changed(shop, "p1", version=1, revision=revision_of(0, 2)), rows)
    put(shop, changed(shop, "gone", version=1, revision=revision_of(0, 2), deleted=False), rows)
    put(shop, changed(shop, "p2", product_id="never-listed"), rows)
    whole = shop.payload("p3")
    assert whole is not None
    put(shop, changed(shop, "p3", encoded_images=whole.encoded_images[:1]), rows[:1])
    put(shop, changed(shop, "p4", deleted=True, encoded_images=[]), [])  # at its event's own place
    put(shop, changed(shop, "p5"), rows, point="00000000-0000-4000-8000-000000000000")  # a second p5
    return {
        "missing": {"p0"},
        "stale": {"p1", "p4"},
        "resurrected": {"gone"},
        "orphaned": {"never-listed", "p5"},
        "incomplete": {"p3"},
    }


def test_each_break_is_found_named_and_sent_again_and_orphans_go_if_asked(stocked: Installation) -> None:
    broken = break_on_purpose(stocked)

    assert named(reconcile(stocked)) == broken
    assert list(resent(stocked)) == []

    found = reconcile(stocked, repair=True)

    assert named(found) == broken
    assert found["repair"] == {"resent": 5, "replaced": 0, "removed": 1, "changed": 0}
    again = {product: (value, headers) for product, value, headers in resent(stocked)}
    assert set(again) == {"p0", "p1", "gone", "p3", "p4"}
    for product, (value, headers) in again.items():
        source = Source.read(headers)
        assert headers[VIEW] == stocked.view.encode()
        assert (source.partition, source.offset, value) in stocked.records(stocked.settings.topics.events)
        latest = Event.model_validate_json(value or b"")
        assert (latest.product_id, latest.type) == (
            product,
            {"gone": "deleted", "p1": "updated"}.get(product, "created"),
        )

    assert named(reconcile(stocked)) == {"pending": set(again), "orphaned": {"never-listed", "p5"}}
    reconcile(stocked, repair=True, delete_orphans=True)
    assert named(reconcile(stocked)) == {"pending": set(again)}
    assert "never-listed" not in stocked.payloads()
    assert stocked.payload("p5") is not None

    with stocked.worker("replay") as replay:
        eventually(lambda: replay.metric("freshline_events_total") >= len(again), what="the repairs")
    assert not any(reconcile(stocked)["counts"].values())


def _events(shop: Installation) -> str:
    return shop.settings.topics.events


def test_what_waits_on_a_lane_is_no_difference_and_what_was_given_up_on_is_one(stocked: Installation) -> None:
    lost = ["p0", "p1", "p2", "p3"]
    on_qdrant(stocked, lambda client, view: client.delete(view, [point_id(name) for name in lost], wait=True))
    put(stocked, changed(stocked, "p4", version=2**53 - 1, revision=0), stocked.vectors("p4"))
    sources = places(stocked)
    with Resender(stocked.settings.kafka(), stocked.settings.topics) as resender:
        for name, view in (("p0", stocked.view), ("p1", None), ("p2", "another-view")):
            resender.send(name.encode(), b"{}", sources[name], view=view)
    give_up(stocked, "p3", sources["p3"])

    found = reconcile(stocked)

    assert named(found) == {"pending": {"p0", "p1"}, "missing": {"p2", "p3"}, "ahead": {"p4"}}
    letters = {each["product_id"]: each["dead_letter"] for each in found["examples"]["missing"]}
    assert letters == {"p2": False, "p3": True}


def places(shop: Installation) -> dict[str, Source]:
    """Where each product's newest event stands."""
    return {
        Event.model_validate_json(value).product_id: Source(partition, offset, 1)
        for partition, offset, value in shop.records(_events(shop))
        if value
    }


def give_up(shop: Installation, product: str, source: Source) -> None:
    letter = DeadLetter(
        view=shop.view,
        topic=_events(shop),
        partition=source.partition,
        offset=source.offset,
        timestamp_ms=source.timestamp_ms,
        key=product.encode(),
        value=b"",
        headers=[],
        product_id=product,
        reason=Reason.INTERNAL,
        message="?",
        stage="encode",
        attempts=1,
        worker_version="0",
        time=NOW,
    )
    send(shop, shop.settings.topics.dead_letters, letter.record_key, letter.model_dump_json().encode())


def send(shop: Installation, topic: str, key: bytes, value: bytes | None) -> None:
    """A record as it is."""
    sender = producer(shop.settings.kafka())
    sender.produce(topic, key=key, value=value)
    sender.flush(10)
    sender.close()


def test_an_event_is_pending_until_settled_and_a_dead_letter_explains_a_missing_picture(
    shop: Installation, tmp_path: Path
) -> None:
    shop.publish(listing("half", [draw(tmp_path / "a.jpg", 1)]))
    assert named(reconcile(shop)) == {"pending": {"half"}}
    with image_host() as host, shop.worker(FRESHLINE_IMAGE_ALLOW_NETWORKS="127.0.0.0/8") as worker:
        shop.publish(listing("half", [draw(tmp_path / "a.jpg", 1), f"{host.url}/nothing.jpg"]))
        eventually(shop.caught_up)
        worker.stop()

    found = reconcile(shop)
    assert named(found) == {"explained": {"half"}}
    assert found["examples"]["explained"][0]["view"]["not_encoded"] == 1

    (letter,) = shop.dead_letters()
    send(shop, shop.settings.topics.dead_letters, letter.record_key, None)
    assert named(reconcile(shop)) == {"incomplete": {"half"}}


def test_refused_events_win_over_nothing_and_explain_a_point_that_was_let_in_later(shop: Installation) -> None:
    ahead = listing("early", ["http://images.test/a.jpg"], version=2**52)
    send(shop, _events(shop), b"early", ahead.to_json())
    send(shop, _events(shop), b"broken", b"{")
    (offset,) = [offset for _, offset, value in shop.records(_events(shop)) if value == ahead.to_json()]
    fields = {"occurred_at": NOW, "indexed_at": NOW, "event_id": "e"}
    put(shop, Payload(product_id="early", version=2**52, revision=revision_of(offset, 0), **fields), [])

    found = reconcile(shop)

    assert (found["events"], found["refused"], found["products"]) == (2, 2, 0)
    assert found["differences"] == 0


def test_live_traffic_makes_no_false_alarm(shop: Installation, tmp_path: Path) -> None:
    urls = [draw(tmp_path / f"{number}.jpg", number) for number in range(3)]
    stop = threading.Event()

    def trade() -> None:
        """New products, changes, deletes and returns, as fast as they are taken."""
        number = 0
        while not stop.is_set():
            number += 1
            name = f"p{number % 400}" if number % 3 else f"new-{number}"
            made = event("deleted", name) if number % 7 == 0 else listing(name, [urls[number % 3]])
            shop.publish(made)

    with shop.worker() as worker:
        trader = threading.Thread(target=trade)
        trader.start()
        try:
            eventually(lambda: len(shop.payloads()) > 300)
            for _ in range(4):
                found = reconcile(shop)
                assert found["differences"] == 0, found
                assert found["points"] > 300
        finally:
            stop.set()
            trader.join()
        eventually(shop.caught_up)
        assert worker.stop() == 0

    assert {kind for kind, count in reconcile(shop)["counts"].items() if count} == set()
