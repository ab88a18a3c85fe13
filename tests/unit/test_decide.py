from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.decide import Action, Change, decide, elect, row_of
from indexer.points import Stored
from schemas.payloads import EncodedImage, revision_of
from tests.factories import change, digest, encoded, event, image, stored, url


def names(images: object) -> str:
    return "".join(picture.url[-1] for picture in images)  # type: ignore[attr-defined]


# --- decide: what is to be done -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "offset", "action"),
    [
        (5, 10, Action.STALE),  # the very event that is stored
        (5, 9, Action.STALE),  # equal version, earlier in the log
        (4, 9, Action.STALE),  # an older event, delivered again or replayed
        (4, 10, Action.STALE),
        (4, 11, Action.OUT_OF_ORDER),  # written to the log after a newer one
        (5, 11, Action.PAYLOAD),  # equal version, later in the log
        (6, 11, Action.PAYLOAD),
        (6, 9, Action.PAYLOAD),  # newer although earlier in the log: a replay after an out-of-order event
    ],
)
def test_place_in_the_order_decides(version: int, offset: int, action: Action) -> None:
    assert decide(change(version, offset), stored(5, 10)).action is action


@pytest.mark.parametrize(
    ("version", "offset", "action"),
    [
        (5, 10, Action.STALE),
        (4, 9, Action.STALE),
        (4, 11, Action.OUT_OF_ORDER),
        (5, 11, Action.DELETE),
        (6, 11, Action.DELETE),
    ],
)
def test_a_delete_obeys_the_same_order(version: int, offset: int, action: Action) -> None:
    tombstone = Stored(5, revision_of(10, 0))

    assert decide(change(version, offset, ""), tombstone).action is action


def test_a_product_that_the_view_does_not_know_is_encoded_whole() -> None:
    plan = decide(change(images="ab"), None)

    assert (plan.action, names(plan.to_encode)) == (Action.ENCODE, "ab")


def test_a_delete_of_an_unknown_product_leaves_a_tombstone_too() -> None:
    assert decide(change(images=""), None).action is Action.DELETE


def test_only_missing_images_are_encoded() -> None:
    plan = decide(change(2, 1, "abc"), stored(1, 0, "ac"))

    assert (plan.action, names(plan.to_encode)) == (Action.ENCODE, "b")


def test_an_event_that_lost_an_image_is_payload_only() -> None:
    plan = decide(change(2, 1, "a"), stored(1, 0, "ab"))

    assert (plan.action, plan.to_encode) == (Action.PAYLOAD, ())


def test_an_incomplete_event_is_completed_at_its_own_version() -> None:
    held = Stored(5, revision_of(10, 1), (encoded("a"),))

    assert names(decide(change(5, 10, "ab"), held).to_encode) == "b"


def test_what_counts_is_what_is_encoded_not_what_the_payload_names() -> None:
    """An update whose every image failed kept its old vectors, under the new version."""
    held = Stored(5, revision_of(10, 0), (encoded("old"),))

    assert names(decide(change(5, 10, "ab"), held).to_encode) == "ab"


def test_force_encodes_everything_again_at_the_same_place() -> None:
    plan = decide(change(5, 10, "ab", force=True), stored(5, 10, "ab"))

    assert (plan.action, names(plan.to_encode)) == (Action.ENCODE, "ab")


def test_force_passes_nothing_newer() -> None:
    assert decide(change(4, 9, force=True), stored(5, 10)).action is Action.STALE


def test_a_tombstone_keeps_out_a_late_create() -> None:
    tombstone = Stored(5, revision_of(10, 0))

    assert decide(change(4, 9, "a"), tombstone).action is Action.STALE


def test_a_newer_create_brings_a_deleted_product_back() -> None:
    assert decide(change(6, 11, "a"), Stored(5, revision_of(10, 0))).action is Action.ENCODE


# --- the same image -------------------------------------------------------------------------------------------------


def test_without_a_digest_the_same_url_is_the_same_image() -> None:
    assert row_of(image("b"), stored(images="ab")) == 1


def test_a_digest_finds_its_image_under_another_url() -> None:
    held = Stored(1, 1, (EncodedImage(url=url("moved"), digest=digest("a")),))

    assert row_of(image("a", with_digest=True), held) == 0


def test_a_digest_is_not_satisfied_by_its_url() -> None:
    held = Stored(1, 1, (EncodedImage(url=url("a"), digest=digest("other")),))

    assert row_of(image("a", with_digest=True), held) is None


def test_nothing_is_found_in_nothing() -> None:
    assert row_of(image("a"), None) is None


# --- properties -----------------------------------------------------------------------------------------------------

letters = st.lists(st.sampled_from("abcd"), unique=True, max_size=3).map("".join)
places = st.tuples(st.integers(1, 4), st.integers(0, 4))
changes = st.builds(
    lambda place, images, force: change(place[0], place[1], images, force=force), places, letters, st.booleans()
)
views = st.none() | st.builds(lambda place, images: stored(place[0], place[1], images), places, letters)


@given(changes, views)
def test_what_is_written_is_never_behind_what_is_stored(change: Change, held: Stored | None) -> None:
    plan = decide(change, held)

    behind = held is not None and (held.version, held.revision // 32) > change.place
    dropped = plan.action in (Action.STALE, Action.OUT_OF_ORDER)
    assert dropped if behind else (not dropped or held is not None)


@given(changes, views)
def test_encoded_and_kept_images_are_together_the_wanted_ones(change: Change, held: Stored | None) -> None:
    plan = decide(change, held)

    if plan.action in (Action.ENCODE, Action.PAYLOAD) and not change.force:
        kept = [picture for picture in change.event.images if row_of(picture, held) is not None]
        assert set(plan.to_encode) | set(kept) == set(change.event.images)
        assert not set(plan.to_encode) & set(kept)


# --- elect: several waiting changes of one product ------------------------------------------------------------------


def test_the_newest_is_done_and_the_others_are_superseded() -> None:
    winner, actions = elect([change(1, 0), change(2, 1), change(3, 2)])

    assert winner == 2
    assert actions[:2] == [Action.SUPERSEDED, Action.SUPERSEDED]


def test_an_older_version_later_in_the_log_is_out_of_order() -> None:
    winner, actions = elect([change(3, 0), change(1, 1)])

    assert winner == 0
    assert actions[1] is Action.OUT_OF_ORDER


def test_equal_versions_fall_to_log_order() -> None:
    winner, actions = elect([change(1, 7), change(1, 6)])

    assert winner == 0
    assert actions[1] is Action.SUPERSEDED


def test_of_two_deliveries_the_forced_one_is_done() -> None:
    assert elect([change(1, 0), change(1, 0, force=True)])[0] == 1


def test_of_equal_deliveries_the_first_is_done() -> None:
    assert elect([change(1, 0), change(1, 0)])[0] == 0


@given(st.lists(changes, min_size=1, max_size=6))
def test_electing_then_deciding_ends_where_one_by_one_would(waiting: list[Change]) -> None:
    winner, actions = elect(waiting)

    assert waiting[winner].place == max(each.place for each in waiting)
    assert len(actions) == len(waiting)
    for index, (loser, action) in enumerate(zip(waiting, actions, strict=True)):
        if index != winner:
            held = Stored(waiting[winner].event.version, revision_of(waiting[winner].offset, 0))
            late = decide(loser, held).action is Action.OUT_OF_ORDER
            assert action is (Action.OUT_OF_ORDER if late else Action.SUPERSEDED)


def test_a_deleted_event_wants_no_images() -> None:
    assert event(1, "").images == []
