"""Parked, and completed later: the live and the retry lane as processes, on real Kafka and Qdrant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.headers import Source
from stream.resend import Resender
from tests.harness import Installation, draw, event, eventually, listing
from tests.image_host import ImageHost, Status, image_host

ALLOWED = {"FRESHLINE_IMAGE_ALLOW_NETWORKS": "127.0.0.0/8"}
QUICK = ALLOWED | {"FRESHLINE_RETRY_DELAY_SECONDS": "1"}


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with image_host() as opened:
        yield opened


def encoded(shop: Installation, product_id: str) -> list[str]:
    payload = shop.payload(product_id)
    return [entry.url for entry in payload.encoded_images] if payload else []


def test_an_event_is_parked_while_its_host_is_ill_and_completed_when_it_is_well(
    shop: Installation, host: ImageHost, tmp_path: Path
) -> None:
    file = draw(tmp_path / "a.jpg", 1)
    ill = host.add("/b.jpg", (tmp_path / "a.jpg").read_bytes())
    host.tell(Status(503))
    with shop.worker(**QUICK) as live, shop.worker("retry", **QUICK) as retry:
        shop.publish(listing("p1", [file, ill]))
        eventually(lambda: encoded(shop, "p1") == [file], what="what there is")
        eventually(lambda: retry.metric("freshline_events_total", outcome="parked") >= 1, what="a second try")
        assert live.metric("freshline_events_total", outcome="parked") == 1
        host.heal()

        eventually(lambda: encoded(shop, "p1") == [file, ill], what="the rest")
        assert retry.metric("freshline_freshness_seconds_count", lane="live") == 0  # it was findable at once
        assert retry.stop() == live.stop() == 0

    assert shop.dead_letters() == []


def test_a_parked_event_never_overwrites_a_newer_one(shop: Installation, host: ImageHost, tmp_path: Path) -> None:
    file = draw(tmp_path / "a.jpg", 1)
    ill = host.add("/b.jpg", (tmp_path / "a.jpg").read_bytes())
    host.tell(Status(503))
    with shop.worker(**QUICK) as live:
        shop.publish(listing("p1", [ill]), listing("p2", [ill]))
        eventually(lambda: live.metric("freshline_events_total", outcome="parked") == 2)
        shop.publish(listing("p1", [file]), event("deleted", "p2"))
        eventually(shop.caught_up)
    host.heal()
    with shop.worker("retry", **QUICK) as retry:
        eventually(lambda: retry.metric("freshline_events_total", outcome="stale") == 2)

    assert encoded(shop, "p1") == [file]
    assert shop.payloads()["p2"].deleted


def test_past_its_budget_an_event_is_a_dead_letter(shop: Installation, host: ImageHost, tmp_path: Path) -> None:
    ill = host.add("/b.jpg", b"")
    host.tell(Status(503))
    budget = {"FRESHLINE_RETRY_BUDGET_HOURS": str(2 / 3600)}
    with shop.worker(**QUICK, **budget), shop.worker("retry", **QUICK, **budget):
        shop.publish(listing("p1", [ill]))
        eventually(shop.dead_letters)

    (letter,) = shop.dead_letters()
    assert (letter.reason, letter.product_id, letter.lane) == ("image_unavailable", "p1", "live")
    assert letter.topic == shop.settings.topics.events
    assert letter.attempts >= 2


def test_a_replayed_event_is_encoded_again_if_it_is_forced_and_left_alone_if_not(
    shop: Installation, tmp_path: Path
) -> None:
    with shop.worker():
        shop.publish(listing("p1", [draw(tmp_path / "a.jpg", 1)]))
        eventually(shop.caught_up)
    ((partition, offset, value),) = shop.records(shop.settings.topics.events)
    before = shop.payload("p1")
    with Resender(shop.settings.kafka(), shop.settings.topics) as resender:
        resender.send(b"p1", value, Source(partition, offset, 1))
        resender.send(b"p1", value, Source(partition, offset, 1), force=True)
        resender.send(b"p1", value, Source(partition, offset, 1), view="another")
    with shop.worker("replay") as replay:
        eventually(lambda: replay.metric("freshline_events_total") == 3)

        outcomes = {name: replay.metric("freshline_events_total", outcome=name) for name in ("indexed", "other_view")}
        assert outcomes == {"indexed": 1, "other_view": 1}
        assert replay.metric("freshline_freshness_seconds_count", lane="live") == 0

    after = shop.payload("p1")
    assert before
    assert after
    assert after.model_dump(exclude={"indexed_at"}) == before.model_dump(exclude={"indexed_at"})


def test_a_worker_is_ready_and_says_what_it_waits_for(shop: Installation) -> None:
    with shop.worker() as worker:
        eventually(worker.ready)
        assert worker.metric("freshline_holding") == 0


def test_too_many_invalid_events_stop_the_worker(shop: Installation) -> None:
    for number in range(20):
        shop.publisher._produce(b"p%d" % number, b"{", {}, lambda *_: None)
    shop.publisher.flush()
    with shop.worker(FRESHLINE_DEAD_LETTER_RUN="5") as worker:
        assert worker.exited(within=60)
        assert worker.process.returncode == 1
        assert "dead letters one after another" in worker.log.read_text()
    letters = {letter.record_key for letter in shop.dead_letters()}
    assert 5 <= len(letters) < 20
    with shop.worker(FRESHLINE_DEAD_LETTER_RUN="100"):
        eventually(shop.caught_up)

    assert len({letter.record_key for letter in shop.dead_letters()}) == 20
