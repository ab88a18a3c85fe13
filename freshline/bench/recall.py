"""Searches whose exact answers are known, with and without filters: how much of them is found, and how soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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


Search = Callable[[Asked], list[str]]
"""Returns products' ids, the nearest first."""


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

    def ask(self, search: Search, efs: Sequence[int], questions: Sequence[Question] = QUESTIONS) -> list[Row]:
        """Each query in every manner before the next query, so that a slow moment of the machine's slows all of them.

        `search` returns products' ids. Some queries come before, to warm up.
        """
        manners = [_Manner(question, ef) for ef in efs for question in questions]
        for number in range(WARM):
            for manner in manners:
                search(self._asked(number, manner))
        for number in range(len(self._vectors)):
            for manner in manners:
                exact = self._exact[manner.question.name][number]
                manner.take(search, self._asked(number, manner), exact)
        return [manner.row() for manner in manners]

    def _asked(self, number: int, manner: _Manner) -> Asked:
        matching = manner.question.matching(int(self._shown[number]))
        return Asked(self._vectors[number].tolist(), matching, manner.ef)


class _Manner:
    """A question with an `ef`, and what its searches came to."""

    def __init__(self, question: Question, ef: int) -> None:
        self.question, self.ef = question, ef
        self._seconds: list[float] = []
        self._recalls: list[float] = []

    def take(self, search: Search, asked: Asked, exact: set[str]) -> None:
        began = time.perf_counter()
        found = search(asked)
        self._seconds.append(time.perf_counter() - began)
        self._recalls += [len(exact.intersection(found)) / len(exact)] if exact else []

    def row(self) -> Row:
        p50, p99 = np.percentile(self._seconds, [50, 99])
        return Row(self.ef, self.question.name, float(np.mean(self._recalls)), float(p50), float(p99))
