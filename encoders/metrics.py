"""How well queries find what they should: Recall@1, Recall@10 and MRR, with bootstrap intervals.

One number for each query is enough: the rank of the first relevant product, 1 for the first, infinity where it was not
found. Recall@k is the share of queries whose rank is at most k, as is usual in visual search: of several relevant
products one has to be found. MRR is the mean of 1 / rank.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_RESAMPLES = 5_000
_BATCH = 10_000_000  # numbers at once: 80 MB


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval that holds it in 95 of 100 samples of queries like these."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """What some queries came to, or by how much one bundle is better than another."""

    queries: int
    recall_at_1: Estimate
    recall_at_10: Estimate
    mrr: Estimate


@dataclass(frozen=True)
class Comparison:
    """Two bundles on the same queries."""

    difference: Quality
    """The first bundle's figures less the second's; resampled by pairs."""
    won: int
    """Queries for which the first has the better rank."""
    lost: int


def first_rank(found: Sequence[str], relevant: Collection[str]) -> float:
    """The rank of the first of `found` that is relevant, from 1; infinity if none is."""
    return next((float(rank) for rank, each in enumerate(found, 1) if each in relevant), math.inf)


def recall_at(k: int, ranks: Sequence[float] | Floats) -> float:
    """The share of queries with a relevant product among the first `k`."""
    return float(np.mean(np.asarray(ranks) <= k))


def mean_reciprocal_rank(ranks: Sequence[float] | Floats) -> float:
    """The mean of 1 / rank, 0 for what was not found."""
    return float(np.mean(1 / np.asarray(ranks, float)))


def quality(ranks: Sequence[float] | Floats, *, seed: int = 0) -> Quality:
    """Recall@1, Recall@10 and MRR of these queries, with intervals that equal seeds make equal.

    Raises:
        ValueError: there are no ranks.
    """
    return _estimated(_gains(ranks), seed, widest=(0.0, 1.0))


def compare(ranks: Sequence[float] | Floats, others: Sequence[float] | Floats, *, seed: int = 0) -> Comparison:
    """The ranks of one bundle beside those of another, for the same queries in the same order.

    Raises:
        ValueError: there are no ranks, or not equally many.
    """
    if len(ranks) != len(others):
        raise ValueError(f"{len(ranks)} ranks can't be compared with {len(others)}")
    difference = _gains(ranks) - _gains(others)
    won, lost = int(np.sum(difference[2] > 0)), int(np.sum(difference[2] < 0))
    return Comparison(_estimated(difference, seed, widest=(-1.0, 1.0)), won, lost)


def _gains(ranks: Sequence[float] | Floats) -> Floats:
    """What each query adds to Recall@1, Recall@10 and MRR: float (3, n)."""
    each = np.asarray(ranks, float)
    if each.ndim != 1 or not len(each) or not np.all(each >= 1):
        raise ValueError("ranks: expected one for each query, of at least one query, counted from 1")
    return np.stack([each <= 1, each <= 10, 1 / each]).astype(float)


def _estimated(gains: Floats, seed: int, *, widest: tuple[float, float]) -> Quality:
    values, count = gains.mean(axis=1), gains.shape[1]
    low, high = _interval(gains, seed) if count > 1 else (np.full(3, widest[0]), np.full(3, widest[1]))
    return Quality(count, *(Estimate(*map(float, each)) for each in zip(values, low, high, strict=True)))


def _interval(gains: Floats, seed: int) -> tuple[Any, Any]:
    """Percentiles (Efron 1979): unlike BCa they are defined where every query was found, too."""
    from scipy.stats import bootstrap  # type: ignore[import-untyped]  # noqa: PLC0415 (slow to load)

    batch = max(1, _BATCH // gains.shape[1])
    drawn = bootstrap(
        (gains,),
        np.mean,
        axis=1,
        n_resamples=_RESAMPLES,
        batch=batch,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return drawn.confidence_interval.low, drawn.confidence_interval.high
