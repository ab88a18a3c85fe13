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
from schemas.dead_letters import DeadLetter, Reason
from schemas.events import Event
from schemas.headers import VIEW, Source
from schemas.payloads import VECTOR_NAME, Payload, point_id, revision_of
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
        vector={VECTOR_NAME: rows} if rows else {},
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
    """Eleven products of two pictures, one of which was deleted; all settled, and no worker any more."""
    urls = [draw(tmp_path / f"{number}.jpg", number) for number in range(2)]
    with shop.worker() as worker:
        shop.publish(*(listing(f"p{number}", urls) for number in range(10)), listing("gone", urls))
        shop.publish(
            event("deleted", "gone"), event("updated", "p1", title="New", images=[{"url": url} for url in urls])
        )
        eventually(shop.caught_up)
        worker.stop()
    return shop


def test_a_view_as_the_log_wants_it_has_no_differences(stocked: Installation) -> None:
    found = reconcile(stocked)

    assert (found["events"], found["products"], found["points"], found["differences"]) == (13, 11, 11, 0)
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


def test_each_break_is_found_named_and_its_event_sent_again(stocked: Installation) -> None:
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


def test_what_was_sent_again_is_on_its_way_and_orphans_go_if_that_is_asked(stocked: Installation) -> None:
    broken = break_on_purpose(stocked)
    reconcile(stocked, repair=True, delete_orphans=True)

    found = reconcile(stocked)

    assert named(found) == {"pending": set().union(*broken.values()) - broken["orphaned"]}
    assert "never-listed" not in stocked.payloads()
    assert stocked.payload("p5") is not None


def test_events_that_no_worker_has_settled_are_no_differences(shop: Installation, tmp_path: Path) -> None:
    shop.publish(*(listing(f"p{number}", [draw(tmp_path / "a.jpg", 1)]) for number in range(3)))

    found = reconcile(shop)

    assert found["counts"]["pending"] == 3
    assert found["differences"] == 0


def test_parked_events_of_this_view_are_no_differences(stocked: Installation) -> None:
    on_qdrant(stocked, lambda client, view: client.delete(view, [point_id("p0"), point_id("p1")], wait=True))
    where = {value: Source(partition, offset, 1) for partition, offset, value in stocked.records(_events(stocked))}
    with Resender(stocked.settings.kafka(), stocked.settings.topics) as resender:
        for value, source in where.items():
            assert value is not None
            product = Event.model_validate_json(value).product_id
            view = {"p0": stocked.view, "p1": "another-view"}.get(product)
            if view:
                resender.send(product.encode(), value, source, view=view)

    assert named(reconcile(stocked)) == {"pending": {"p0"}, "missing": {"p1"}}


def _events(shop: Installation) -> str:
    return shop.settings.topics.events


def test_a_picture_that_a_dead_letter_tells_of_is_explained(shop: Installation, tmp_path: Path) -> None:
    with image_host() as host, shop.worker(FRESHLINE_IMAGE_ALLOW_NETWORKS="127.0.0.0/8") as worker:
        shop.publish(listing("half", [draw(tmp_path / "a.jpg", 1), f"{host.url}/nothing.jpg"]))
        eventually(shop.caught_up)
        worker.stop()

    found = reconcile(shop)
    assert named(found) == {"explained": {"half"}}
    assert found["examples"]["explained"][0]["view"]["not_encoded"] == 1

    (letter,) = shop.dead_letters()
    sender = producer(shop.settings.kafka())
    sender.produce(shop.settings.topics.dead_letters, key=letter.record_key, value=None)
    sender.flush(10)
    sender.close()
    assert named(reconcile(shop)) == {"incomplete": {"half"}}


def test_refused_events_win_over_nothing_and_explain_a_point_that_was_let_in_later(shop: Installation) -> None:
    sender = producer(shop.settings.kafka())
    ahead = listing("early", ["http://images.test/a.jpg"], version=2**52)
    sender.produce(_events(shop), key=b"early", value=ahead.to_json())
    sender.produce(_events(shop), key=b"broken", value=b"{")
    sender.flush(10)
    sender.close()
    (offset,) = [offset for _, offset, value in shop.records(_events(shop)) if value == ahead.to_json()]
    fields = {"occurred_at": NOW, "indexed_at": NOW, "event_id": "e"}
    put(shop, Payload(product_id="early", version=2**52, revision=revision_of(offset, 0), **fields), [])

    found = reconcile(shop)

    assert (found["events"], found["refused"], found["products"]) == (2, 2, 0)
    assert found["differences"] == 0


def test_a_null_value_deletes_at_its_time(stocked: Installation) -> None:
    stocked.publisher.publish_tombstone("p0")
    stocked.publisher.flush()
    with stocked.worker() as worker:
        eventually(stocked.caught_up)
        worker.stop()

    assert reconcile(stocked)["differences"] == 0


def test_a_point_past_the_log_is_told_of_and_left_alone(stocked: Installation) -> None:
    put(stocked, changed(stocked, "p0", version=2**53 - 1, revision=0), stocked.vectors("p0"))

    found = reconcile(stocked, repair=True)

    assert named(found) == {"ahead": {"p0"}}
    assert list(resent(stocked)) == []


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


def test_a_dead_letter_of_another_reason_does_not_excuse_a_missing_product(stocked: Installation) -> None:
    on_qdrant(stocked, lambda client, view: client.delete(view, [point_id("p9")], wait=True))
    (place,) = [
        (partition, offset)
        for partition, offset, value in stocked.records(_events(stocked))
        if value and Event.model_validate_json(value).product_id == "p9"
    ]
    letter = DeadLetter(
        view=stocked.view, topic=_events(stocked), partition=place[0], offset=place[1], timestamp_ms=1, key=b"p9",
        value=b"", headers=[], product_id="p9", reason=Reason.INTERNAL, message="?", stage="encode", attempts=1,
        worker_version="0", time=NOW,
    )  # fmt: skip
    sender = producer(stocked.settings.kafka())
    sender.produce(stocked.settings.topics.dead_letters, key=letter.record_key, value=letter.model_dump_json().encode())
    sender.flush(10)
    sender.close()

    found = reconcile(stocked)

    assert named(found) == {"missing": {"p9"}}
    assert found["examples"]["missing"][0]["dead_letter"] is True
