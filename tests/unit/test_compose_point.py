"""`indexer.compose`; `test_compose.py` is about Docker's compose file."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.compose import Encoded, compose
from indexer.decide import Action, Change, Plan, decide
from indexer.points import Point, Stored
from schemas.events import Image
from schemas.payloads import FailedImage, revision_of
from tests.factories import NOW, change, digest, encoded, event, image, stored, url, vector


def fresh(names: str) -> dict[Image, Encoded]:
    return {image(name): Encoded(digest(name), vector(name)) for name in names}


def composed(new: Change, held: Stored | None, *, had: str = "", failed: str = "") -> Point:
    failures = [FailedImage(url=url(name), reason="image_missing") for name in failed]
    return compose(decide(new, held), fresh(had), failures, NOW)


def rows(point: Point) -> list[tuple[str, list[float]]]:
    urls = [entry.url[-1] for entry in point.payload.encoded_images]
    return list(zip(urls, point.vectors, strict=True))


def test_a_new_product_has_a_row_for_each_image_in_the_order_of_the_event() -> None:
    assert rows(composed(change(images="ba"), None, had="ab")) == [("b", vector("b")), ("a", vector("a"))]


def test_the_payload_is_what_the_event_says() -> None:
    new = event(
        7,
        product={
            "title": "Shoe",
            "brand": "Acme",
            "category": "shoes",
            "price": "19.90",
            "currency": "EUR",
            "attributes": {"sizes": ["36", "37"]},
            "images": [{"url": url("a")}],
        },
    )
    payload = compose(decide(Change(new, 3), None), fresh("a"), [], NOW).payload

    assert (payload.title, payload.brand, payload.category) == ("Shoe", "Acme", "shoes")
    assert (payload.price, payload.currency, payload.attributes) == (19.9, "EUR", {"sizes": ["36", "37"]})
    assert (payload.image_urls, payload.encoded_images) == ([url("a")], [encoded("a")])
    assert (payload.occurred_at, payload.indexed_at) == (NOW - timedelta(seconds=1.5), NOW)
    assert (payload.rank, payload.deleted) == ((7, revision_of(3, 1)), False)


def test_kept_and_fresh_rows_stand_together() -> None:
    point = composed(change(2, 1, "abc"), stored(1, 0, "ca"), had="b")

    assert rows(point) == [("a", vector("a")), ("b", vector("b")), ("c", vector("c"))]


def test_images_that_the_event_no_longer_names_lose_their_rows() -> None:
    assert rows(composed(change(2, 1, "a"), stored(1, 0, "ab"))) == [("a", vector("a"))]


def test_rows_follow_a_new_order_of_images() -> None:
    assert [name for name, _ in rows(composed(change(2, 1, "ba"), stored(1, 0, "ab")))] == ["b", "a"]


def test_a_moved_image_keeps_its_row_under_its_new_url() -> None:
    moved = image("a", with_digest=True).model_copy(update={"url": url("z")})
    new = event(2, product={"title": "Shoe", "images": [moved.model_dump()]})

    point = compose(decide(Change(new, 1), stored(1, 0, "a")), {}, [], NOW)

    assert rows(point) == [("z", vector("a"))]


def test_a_partial_failure_is_named_and_counts_in_the_revision() -> None:
    point = composed(change(1, 5, "ab"), None, had="a", failed="b")

    assert rows(point) == [("a", vector("a"))]
    assert [failure.url for failure in point.payload.failed_images] == [url("b")]
    assert point.payload.revision == revision_of(5, 1)


def test_an_image_that_fails_when_forced_keeps_the_row_that_it_has() -> None:
    point = composed(change(1, 0, "ab", force=True), stored(1, 0, "ab"), had="a", failed="b")

    assert [name for name, _ in rows(point)] == ["a", "b"]
    assert point.payload.revision == revision_of(0, 2)


def test_when_every_image_of_an_update_fails_all_old_rows_stay_and_none_is_counted() -> None:
    point = composed(change(2, 1, "cd"), stored(1, 0, "ab"), failed="cd")

    assert [name for name, _ in rows(point)] == ["a", "b"]
    assert point.payload.image_urls == [url("c"), url("d")]
    assert point.payload.revision == revision_of(1, 0)


def test_a_product_whose_every_image_fails_from_the_start_has_no_rows() -> None:
    point = composed(change(1, 0, "a"), None, failed="a")

    assert (point.vectors, point.payload.revision, point.payload.deleted) == ([], 0, False)


def test_a_delete_leaves_nothing_but_its_place() -> None:
    payload = composed(change(2, 1, ""), stored(1, 0, "ab")).payload

    assert payload.deleted
    assert payload.rank == (2, revision_of(1, 0))
    assert (payload.title, payload.encoded_images, payload.image_urls) == (None, [], [])


def test_a_point_remembers_the_version_that_it_was_planned_on() -> None:
    assert composed(change(9, 1), None, had="a").read_version == 0
    assert composed(change(9, 1), stored(4)).read_version == 4
    assert composed(change(9, 1, ""), stored(4)).read_version == 4


def test_keeping_vectors_that_were_not_read_is_an_error_of_ours() -> None:
    plan = Plan(Action.PAYLOAD, change(2, 1, "a"), stored(1, 0, "a", vectors=False))

    with pytest.raises(AssertionError, match="without reading"):
        compose(plan, {}, [], NOW)


letters = st.lists(st.sampled_from("abcd"), unique=True, max_size=4).map("".join)


@given(wanted=letters.filter(bool), held=st.none() | letters, lost=letters, force=st.booleans())
def test_rows_are_of_wanted_images_or_all_the_old_ones_and_each_with_its_own_vector(
    wanted: str, held: str | None, lost: str, force: bool
) -> None:
    before = None if held is None else stored(1, 0, held)
    plan = decide(change(2, 1, wanted, force=force), before)
    had = "".join(picture.url[-1] for picture in plan.to_encode if picture.url[-1] not in lost)

    point = compose(plan, fresh(had), [], NOW)

    shown = "".join(name for name, _ in rows(point))
    reachable = "".join(name for name in wanted if name in had or name in (held or ""))
    assert shown == (reachable or held or "")
    assert all(row == vector(name) for name, row in rows(point))
    assert point.payload.revision == revision_of(1, len(reachable))
