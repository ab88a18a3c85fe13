"""What a difference between the log and the view means, and who wins in the ledger."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import models

from indexer.decide import row_of
from indexer.points import Stored
from indexer.scan import Seen, read_page, read_seen, remove
from indexer.store import Store
from indexer.writer import write
from schemas.events import Image
from schemas.payloads import EncodedImage, point_id, revision_of
from stream.reconcile.compare import DIFFERENCES, Facts, Kind, Winner, compare, excuse, marks, unencoded
from stream.reconcile.ledger import Difference, Ledger, Suspect
from tests.factories import VIEW, encoded, image, point


def winner(version: int = 5, offset: int = 50, *, deleted: bool = False, images: str = "ab") -> Winner:
    return Winner(version, offset, 0, deleted, b"" if deleted else marks([image(name) for name in images]))


def seen(version: int = 5, offset: int = 50, *, deleted: bool = False, images: str = "ab") -> Seen:
    names = "" if deleted else images
    return Seen(
        point_id("p1"), "p1", version, revision_of(offset, len(names)), deleted, tuple(encoded(name) for name in names)
    )


# --- comparing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "view", "kind"),
    [
        (winner(), seen(), None),
        (winner(), seen(images="abc"), None),  # a row too many is no picture too few
        (winner(deleted=True), seen(deleted=True), None),
        (winner(deleted=True), None, None),  # swept, or never known
        (None, None, None),
        (None, seen(deleted=True), None),  # the null value is compacted away
        (winner(), None, Kind.MISSING),
        (winner(), seen(4, 60), Kind.STALE),
        (winner(), seen(5, 49), Kind.STALE),  # one version twice: the later one in the log
        (winner(), seen(4, 40, deleted=True), Kind.STALE),
        (winner(), seen(deleted=True), Kind.STALE),
        (winner(deleted=True), seen(4, 40, deleted=True), Kind.STALE),
        (winner(deleted=True), seen(4, 40), Kind.RESURRECTED),
        (winner(deleted=True), seen(), Kind.RESURRECTED),
        (None, seen(), Kind.ORPHANED),
        (winner(), seen(images="a"), Kind.INCOMPLETE),
        (winner(), seen(images=""), Kind.INCOMPLETE),
        (winner(), seen(images="ac"), Kind.INCOMPLETE),  # old rows that were kept
        (winner(), seen(6, 40), Kind.AHEAD),
        (winner(deleted=True), seen(6, 60), Kind.AHEAD),
    ],
)
def test_each_way_to_differ_has_its_name(log: Winner | None, view: Seen | None, kind: Kind | None) -> None:
    assert compare(log, view) is kind


@pytest.mark.parametrize(
    ("kind", "facts", "left"),
    [
        *((kind, Facts(), kind) for kind in (*DIFFERENCES, Kind.AHEAD)),
        *((kind, Facts(settled=False), Kind.PENDING) for kind in DIFFERENCES if kind is not Kind.ORPHANED),
        *((kind, Facts(waiting=True), Kind.PENDING) for kind in DIFFERENCES if kind is not Kind.ORPHANED),
        (Kind.INCOMPLETE, Facts(letter=True), Kind.EXPLAINED),
        (Kind.INCOMPLETE, Facts(letter=True, waiting=True), Kind.PENDING),
        (Kind.MISSING, Facts(letter=True), Kind.MISSING),
        (Kind.ORPHANED, Facts(refused=True), None),
        (Kind.AHEAD, Facts(newer=True), None),
        (Kind.AHEAD, Facts(refused=True), None),
    ],
)
def test_what_excuses_a_difference(kind: Kind, facts: Facts, left: Kind | None) -> None:
    assert excuse(kind, facts) is left


digests = st.sampled_from([f"sha256:{letter * 64}" for letter in "abc"])
urls = st.sampled_from(["http://host/1", "http://host/2", "http://host/3"])
wanted_images = st.lists(st.builds(Image, url=urls, digest=st.none() | digests), max_size=4)
encoded_images = st.lists(st.builds(EncodedImage, url=urls, digest=digests), max_size=4)


@given(wanted_images, encoded_images)
def test_a_picture_is_encoded_by_the_rule_that_workers_plan_by(wanted: list[Image], there: list[EncodedImage]) -> None:
    stored = Stored(1, 1, tuple(there))

    assert unencoded(marks(wanted), there) == sum(row_of(each, stored) is None for each in wanted)


def test_a_point_that_has_its_event_taken_for_done_blocks_it() -> None:
    blocked = [
        Difference(Kind.RESURRECTED, "p1", winner(deleted=True), seen(), "id").blocks,
        Difference(Kind.STALE, "p1", winner(), seen(deleted=True), "id").blocks,
    ]
    free = [
        Difference(Kind.INCOMPLETE, "p1", winner(), seen(images="a"), "id").blocks,
        Difference(Kind.STALE, "p1", winner(), seen(4, 40), "id").blocks,
        Difference(Kind.MISSING, "p1", winner(), None, "id").blocks,
        Difference(Kind.ORPHANED, "p1", None, seen(), "id").blocks,
    ]

    assert all(blocked)
    assert not any(free)


# --- the ledger -------------------------------------------------------------------------------------------------------

products = st.sampled_from([b"p1", b"p2", "p\u00e9".encode(), b"p\x00", b"'p"])
winners = st.builds(
    Winner, st.integers(1, 4) | st.just(2**53 - 1), st.integers(0, 9), st.integers(0, 1), st.booleans(), st.binary()
)


@given(st.lists(st.tuples(products, winners), max_size=40), st.integers(1, 7))
@settings(max_examples=200)
def test_the_highest_version_and_offset_wins_as_in_a_dict(events: list[tuple[bytes, Winner]], size: int) -> None:
    best: dict[bytes, Winner] = {}
    for product, event in events:
        if product not in best or event.place > best[product].place:
            best[product] = event

    with Ledger() as ledger:
        for start in range(0, len(events), size):
            ledger.win(events[start : start + size])

        assert ledger.winners(sorted({product for product, _ in events})) == best
        assert ledger.count_winners() == len(best)
        assert dict(ledger.unseen()) == {product: event for product, event in best.items() if not event.deleted}
        ledger.mark_seen(best)
        assert list(ledger.unseen()) == []


def test_a_ledger_larger_than_its_cache_keeps_everything() -> None:
    with Ledger(cache_kib=64) as ledger:
        ledger.win(
            (b"%d" % number, Winner(number + 1, number, 0, deleted=False, wanted=bytes(8))) for number in range(50_000)
        )
        ledger.win([(b"7", Winner(99_999, 99_999, 1, deleted=True))])

        assert ledger.count_winners() == 50_000
        assert ledger.winners([b"7", b"49999", b"50000"]) == {
            b"7": Winner(99_999, 99_999, 1, deleted=True),
            b"49999": Winner(50_000, 49_999, 0, deleted=False, wanted=bytes(8)),
        }


def test_what_waits_and_what_was_given_up_on_is_known_by_its_place() -> None:
    with Ledger() as ledger:
        ledger.wait([(0, 7), (0, 7)])
        ledger.add_letter((1, 8))
        ledger.add_letter((1, 9))
        ledger.drop_letter((1, 9))
        ledger.refuse([(b"p1", 3)])

        assert [ledger.waits((0, 7)), ledger.waits((1, 7))] == [True, False]
        assert [ledger.has_letter((1, 8)), ledger.has_letter((1, 9))] == [True, False]
        assert [ledger.was_refused(b"p1", 3), ledger.was_refused(b"p2", 3)] == [True, False]


def test_a_repair_gets_each_event_once_and_in_order() -> None:
    with Ledger() as ledger:
        for name, place in (("p1", (0, 9)), ("p2", (0, 3)), ("p3", (1, 5)), ("p4", (0, 5))):
            log = Winner(1, place[1], place[0], deleted=False)
            ledger.differ(Difference(Kind.MISSING, name, log, None, point_id(name)))
        ledger.differ(Difference(Kind.ORPHANED, "p9", None, seen(), "an orphan"))

        assert ledger.spans() == {0: (3, 10), 1: (5, 6)}
        assert list(ledger.offsets(0)) == [3, 5, 9]
        assert [orphan.id for orphan in ledger.orphans()] == ["an orphan"]
        assert list(ledger.blocking()) == []


def test_suspects_are_kept_with_their_rank() -> None:
    suspects = [Suspect("a", b"p1", 5, 64), Suspect("b", None, None, None)]
    with Ledger() as ledger:
        ledger.suspect(suspects)

        assert list(ledger.suspects()) == suspects
        assert ledger.count_suspects() == 2


# --- looking through a view -------------------------------------------------------------------------------------------


def put(store: Store, *payloads: dict[str, Any]) -> None:
    points = [models.PointStruct(id=payload.pop("id"), payload=payload, vector={}) for payload in payloads]
    store.run_sync(lambda client: client.upsert(VIEW, points))


def test_a_view_is_read_page_by_page(store: Store) -> None:
    store.run_sync(lambda client: write(client, VIEW, [point(f"p{number}", images="") for number in range(5)]))

    found: list[Seen] = []
    after: Any = None
    while True:
        page, after = store.run_sync(partial(read_page, view=VIEW, after=after, most=2))
        found += page
        if after is None:
            break

    assert sorted(each.product_id or "" for each in found) == [f"p{number}" for number in range(5)]
    assert not any(each.alien for each in found)


@pytest.mark.parametrize(
    "payload",
    [
        {"id": 7, "product_id": "p1", "version": 1, "revision": 1},
        {"id": point_id("p2"), "product_id": "p1", "version": 1, "revision": 1},
        {"id": point_id("p1"), "product_id": "p1", "revision": 1},
        {"id": point_id("p1"), "product_id": "p1", "version": "1", "revision": 1},
        {"id": point_id("p1"), "encoded_images": "?"},
    ],
)
def test_what_nobody_of_ours_wrote_is_seen_and_can_be_removed(store: Store, payload: dict[str, Any]) -> None:
    put(store, dict(payload))
    found, _ = store.run_sync(lambda client: read_page(client, VIEW, None, 10))

    assert [each.alien for each in found] == [True]
    assert store.run_sync(lambda client: remove(client, VIEW, found[0]))
    assert store.run_sync(lambda client: client.count(VIEW).count) == 0


def test_a_point_that_has_changed_is_not_removed(store: Store) -> None:
    store.run_sync(lambda client: write(client, VIEW, [point("p1", 3)]))
    before = store.run_sync(lambda client: read_seen(client, VIEW, [point_id("p1")]))[point_id("p1")]
    store.run_sync(lambda client: write(client, VIEW, [point("p1", 3, 32, read=3)]))

    assert not store.run_sync(lambda client: remove(client, VIEW, before))
    assert store.run_sync(lambda client: client.count(VIEW).count) == 1
