"""Searches whose exact answers are known, with and without filters: how much of them is found, and how soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from qdrant_client import models

from freshline.bench.clustered import Clustered, brand, category, price

LIMIT, WARM = 10, 20


@dataclass(frozen=True)
class Asked:
    """A search."""

    vector: list[float]
    matching: models.Filter | None
    ef: int
    limit: int = LIMIT


@dataclass(frozen=True)
class Row:
    """One kind of search, asked in one manner."""

    ef: int
    question: str
    recall: float
    """Of the exact ten, by the best picture of each product."""
    p50: float
    p99: float
    """Seconds, one search at a time."""


@dataclass(frozen=True)
class Question:
    """A kind of search, by a picture of a product."""

    name: str
    matching: Callable[[int], models.Filter | None]
    """The filter, for the product of this number."""
    meets: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """Whether products, shape (m,), meet the filters of the queries for others, shape (n, 1): (n, m), or (m,)."""


def _equal(key: str, value: str) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=key, match=models.MatchValue(value=value))])


BRAND = _equal("brand", "brand-3")
CHEAP = models.Filter(must=[models.FieldCondition(key="price", range=models.Range(lt=250))])
EVERYTHING = Question("all", lambda _: None, lambda numbers, _: numbers >= 0)
QUESTIONS = (
    EVERYTHING,
    Question(
        "its category, of 50",
        lambda other: _equal("category", f"category-{category(np.asarray(other))}"),
        lambda numbers, others: category(numbers) == category(others),
    ),
    Question("one brand of 8", lambda _: BRAND, lambda numbers, _: brand(numbers) == 3),
    Question("half of the prices", lambda _: CHEAP, lambda numbers, _: price(numbers) < 250),
)


class Quiz:
    """Pictures of so many of the products, with the exact answers to every question."""

    def __init__(self, data: Clustered, queries: int) -> None:
        self._vectors, self._shown = data.queries(queries)
        others = self._shown[:, None]
        self._exact = {
            each.name: data.nearest(self._vectors, lambda numbers, each=each: each.meets(numbers, others), LIMIT)  # type: ignore[misc]
            for each in QUESTIONS
        }

    def ask(self, search: Callable[[Asked], list[str]], question: Question, ef: int) -> Row:
        """One query after the other, after some to warm up; `search` returns products' ids."""
        shown = zip(self._vectors, self._shown, strict=True)
        asked = [Asked(vector.tolist(), question.matching(int(other)), ef) for vector, other in shown]
        for each in asked[:WARM]:
            search(each)
        seconds, recalls = [], []
        for each, exact in zip(asked, self._exact[question.name], strict=True):
            began = time.perf_counter()
            found = search(each)
            seconds.append(time.perf_counter() - began)
            recalls += [len(exact.intersection(found)) / len(exact)] if exact else []
        p50, p99 = np.percentile(seconds, [50, 99])
        return Row(ef, question.name, float(np.mean(recalls)), float(p50), float(p99))
