"""`freshline bench layouts`, small: that it measures what it says. What it measures is never asserted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from freshline.bench.clustered import Clustered, brand
from tests.harness import freshline


@pytest.mark.usefixtures("stack_tools")
def test_it_compares_ways() -> None:
    ways = ["multivector", "pooled, rescored", "picture a point"]
    small = ["--products", "1000", "--queries", "20", "--json", *(word for way in ways for word in ("--way", way))]
    done = freshline("bench", "layouts", *small, env={})
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert [each["name"] for each in figures["rans"]] == ways
    for ran in figures["rans"]:
        # So few products are not indexed: all are looked at, and nothing is missed.
        assert min(row["recall"] for row in ran["rows"]) > 0.95
        assert {row["question"] for row in ran["rows"]} == {
            "all",
            "its category, of 50",
            "one brand of 8",
            "half of the prices",
        }
        assert ran["beside"]["p99"] >= ran["beside"]["p50"] > 0
        assert ran["built_seconds"] >= ran["written_seconds"] > 0


def test_an_unknown_way_is_named() -> None:
    done = freshline("bench", "layouts", "--way", "sideways", env={})
    assert done.returncode == 1
    assert "sideways" in done.stderr


def test_the_exact_answer_is_that_of_looking_at_everything() -> None:
    data = Clustered(1500, 16)
    queries, shown = data.queries(30)
    found = data.nearest(queries, lambda numbers: brand(numbers) == 3, 5)
    products = [number for number in range(1500) if number % 8 == 3]
    for query, answer in zip(queries, found, strict=True):
        scores = [max(np.asarray(data.rows(number)) @ query) for number in products]
        best = {f"product-{products[index]}" for index in np.argsort(scores)[-5:]}
        assert answer == best
    everything = data.nearest(queries, lambda numbers: numbers >= 0, 1)
    right = [answer == {f"product-{number}"} for answer, number in zip(everything, shown, strict=True)]
    assert sum(right) > 20  # that is what the queries are pictures of
