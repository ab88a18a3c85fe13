from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import MAX_VERSION
from schemas.payloads import MAX_ENCODED, Payload, point_id, revision_of
from tests.factories import NOW, point

offsets = st.integers(0, 2**40)
counts = st.integers(0, MAX_ENCODED - 1)


def test_a_point_id_never_changes() -> None:
    assert point_id("p1") == "992b3b4d-d1b6-58a1-9f88-445e9f80f056"


@given(st.text(), st.text())
def test_two_products_are_two_points(one: str, other: str) -> None:
    assert (point_id(one) == point_id(other)) == (one == other)
    assert uuid.UUID(point_id(one)).version == 5


@given(offsets, counts, offsets, counts)
def test_revisions_are_in_log_order_and_then_by_completeness(offset: int, count: int, later: int, more: int) -> None:
    assert (revision_of(offset, count) < revision_of(later, more)) == ((offset, count) < (later, more))


@given(offsets, counts)
def test_a_revision_is_exact_as_a_float_and_tells_its_offset(offset: int, count: int) -> None:
    revision = revision_of(offset, count)

    assert int(float(revision)) == revision <= MAX_VERSION
    assert Payload(
        product_id="p", version=1, revision=revision, occurred_at=NOW, indexed_at=NOW, event_id="e"
    ).offset == offset  # fmt: skip


@pytest.mark.parametrize("count", [-1, MAX_ENCODED])
def test_a_count_that_would_reach_the_next_offset_is_an_error(count: int) -> None:
    with pytest.raises(AssertionError):
        revision_of(1, count)


def test_a_payload_survives_its_json() -> None:
    payload = point(images="ab").payload

    assert Payload.model_validate(payload.model_dump(mode="json")) == payload


def test_rank_is_version_then_revision() -> None:
    ranks = [point(version=version, revision=revision).payload.rank for version, revision in [(1, 9), (2, 0), (2, 1)]]

    assert ranks == sorted(ranks)
