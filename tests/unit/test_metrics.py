"""Retrieval metrics: cases that are worked out by hand, and what holds for all."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.metrics import compare, first_rank, mean_reciprocal_rank, quality, recall_at

RANKS = st.lists(st.integers(1, 30).map(float) | st.just(math.inf), min_size=1, max_size=40)


def test_the_rank_is_that_of_the_first_relevant_product() -> None:
    assert first_rank(["a", "b", "c"], {"a"}) == 1
    assert first_rank(["a", "b", "c"], {"c", "b"}) == 2
    assert first_rank(["a", "b", "c"], {"z"}) == math.inf
    assert first_rank([], {"z"}) == math.inf


def test_by_hand() -> None:
    found = quality([1, 1, 4, 10, 11, math.inf])

    assert found.queries == 6
    assert found.recall_at_1.value == pytest.approx(2 / 6)
    assert found.recall_at_10.value == pytest.approx(4 / 6)
    assert found.mrr.value == pytest.approx((1 + 1 + 1 / 4 + 1 / 10 + 1 / 11) / 6)


def test_the_interval_of_a_share_is_near_the_one_that_is_known_for_it() -> None:
    share = quality([1.0] * 240 + [math.inf] * 60).recall_at_1
    deviation = math.sqrt(0.8 * 0.2 / 300)

    assert share.low == pytest.approx(0.8 - 1.96 * deviation, abs=0.01)
    assert share.high == pytest.approx(0.8 + 1.96 * deviation, abs=0.01)


def test_one_query_says_nothing() -> None:
    assert (quality([1]).recall_at_1.low, quality([1]).recall_at_1.high) == (0, 1)
    assert compare([1], [1]).difference.mrr.low == -1


def test_a_comparison_by_hand() -> None:
    found = compare([1, 2, 20, math.inf, 3], [2, 2, math.inf, 11, 3])

    assert (found.won, found.lost) == (2, 1)
    assert found.difference.recall_at_1.value == pytest.approx(1 / 5)
    assert found.difference.recall_at_10.value == 0
    assert found.difference.mrr.value == pytest.approx((1 / 2 + 1 / 20 - 1 / 11) / 5)


def test_pairs_show_a_difference_that_either_interval_alone_would_hide() -> None:
    hard = [math.inf] * 100
    better, worse = [1.0] * 110 + hard, [1.0] * 95 + [2.0] * 15 + hard
    apart = quality(better).recall_at_1.low - quality(worse).recall_at_1.high

    assert apart < 0
    assert compare(better, worse).difference.recall_at_1.low > 0


@settings(max_examples=30, deadline=None)
@given(RANKS)
def test_an_interval_holds_its_value_and_no_figure_leaves_its_bounds(ranks: list[float]) -> None:
    found = quality(ranks)

    for each in (found.recall_at_1, found.recall_at_10, found.mrr):
        assert 0 <= each.low <= each.value + 1e-9
        assert each.value <= each.high + 1e-9 <= 1 + 2e-9
    assert found.recall_at_1.value <= found.mrr.value <= 1
    assert found.recall_at_1.value <= found.recall_at_10.value
    assert found == quality(ranks)
    assert found.recall_at_10.value == recall_at(10, ranks)
    assert found.mrr.value == pytest.approx(mean_reciprocal_rank(ranks))


@settings(max_examples=30, deadline=None)
@given(RANKS, st.randoms(use_true_random=False))
def test_the_order_of_queries_changes_no_value_and_a_comparison_turns_with_its_sides(
    ranks: list[float], random: Random
) -> None:
    others = list(ranks)
    random.shuffle(others)
    one, other = compare(ranks, others), compare(others, ranks)

    assert one.difference.mrr.value == pytest.approx(0)
    assert (one.won, one.lost) == (other.lost, other.won)
    assert compare(ranks * 2, ranks * 2).difference.mrr.high == 0


@pytest.mark.parametrize("ranks", [[], [0.0], [1.0, math.nan], [-1.0]])
def test_what_is_no_rank_is_refused(ranks: list[float]) -> None:
    with pytest.raises(ValueError, match="ranks"):
        quality(ranks)


def test_unequal_numbers_of_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="2 ranks can't be compared with 1"):
        compare([1, 2], [1])
