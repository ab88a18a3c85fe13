"""Two views asked the same: how well each finds what it should, how much they agree, how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from encoders.metrics import Comparison, Quality
from encoders.session import ImageEncoder
from freshline.evaluation.run import searcher_on
from indexer.store import Store
from search.evaluation import Answer, Evaluation, ask, evaluate
from search.labelled import Query
from search.searcher import Searcher

_TIMED = 100
"""Queries whose time is taken, one after another."""


@dataclass(frozen=True)
class Contender:
    """A view as it was asked."""

    view: str
    bundle: str
    quality: Quality
    absent: int
    """Queries for products that it does not hold: they count as not found."""
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Compared:
    """The view that is being built beside the serving one."""

    building: Contender
    serving: Contender
    quality: Comparison
    """The building view's figures less the serving one's, by pairs."""
    overlap: float
    """Of the first ten products of each answer, the mean share that both views found."""

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


async def compare(
    store: Store,
    building: tuple[str, ImageEncoder],
    serving: tuple[str, ImageEncoder],
    queries: Sequence[Query],
    done: Callable[[int], None],
) -> Compared:
    """Ask both views every query.

    Args:
        store: with the views.
        building: the view's name and its encoder.
        serving: likewise.
        queries: at least one.
        done: called with 1 for each answer.

    Raises:
        EvaluationError: a query that one of them can't answer.
    """
    async with AsyncExitStack() as running:
        searchers: list[Searcher] = []
        for view, encoder in (building, serving):
            searcher = searcher_on(store, encoder, view)
            await running.enter_async_context(searcher.running())
            searchers.append(searcher)
        first, second = [await evaluate(searcher, queries, done=done) for searcher in searchers]
        times = await _times(searchers, queries[:_TIMED])
    new, old = (_contender(each, seconds) for each, seconds in zip((first, second), times, strict=True))
    return Compared(new, old, first.against(second), overlap(first.answers, second.answers))


def _contender(found: Evaluation, seconds: Sequence[float]) -> Contender:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return Contender(found.view, found.bundle, found.overall(), found.absent, float(p50), float(p99))


def overlap(answers: Sequence[Answer], others: Sequence[Answer]) -> float:
    """The mean share of the first ten products that two views have in common; 1 where neither found any."""
    return float(np.mean([_common(one, other) for one, other in zip(answers, others, strict=True)]))


def _common(one: Answer, other: Answer) -> float:
    found, others = ({hit.product_id for hit in answer.hits} for answer in (one, other))
    return len(found & others) / max(len(found), len(others)) if found or others else 1.0


async def _times(searchers: Sequence[Searcher], queries: Sequence[Query]) -> list[list[float]]:
    """Seconds by searcher; they take turns, so that what else the machine does meets them alike."""
    times: list[list[float]] = [[] for _ in searchers]
    for query in queries:
        for searcher, seconds in zip(searchers, times, strict=True):
            started = time.perf_counter()
            await ask(searcher, query)
            seconds.append(time.perf_counter() - started)
    return times
