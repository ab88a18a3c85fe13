"""How long searches take, stage by stage, and which are refused."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

Refusal = Literal["key", "load", "rate"]
Stage = Literal["decode", "encode", "words", "query", "total"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)
_FILL = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1)


class SearchMetrics:
    """Those that are named `freshline_search_…`, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "freshline_search_seconds",
            "Time of a search in one stage; encode includes the wait for its batch, words is the encoding of a text, "
            "total excludes the upload.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._fill = Histogram(
            "freshline_search_batch_fill_ratio",
            "Pictures in an encoder batch, of the most that fit.",
            buckets=_FILL,
            registry=registry,
        )

        self._refused = Counter(
            "freshline_search_refused_total",
            "Requests that were refused before any work: key (none that is known), rate (too many of one key), load "
            "(more than can be answered in time).",
            ["reason"],
            registry=registry,
        )
        for reason in get_args(Refusal):
            self._refused.labels(reason)

    def refused(self, reason: Refusal) -> None:
        """A request was refused."""
        self._refused.labels(reason).inc()

    def encoded(self, fill: float) -> None:
        """A batch was encoded, full to this share."""
        self._fill.observe(fill)

    def stage(self, name: Stage) -> AbstractContextManager[object]:
        """Time one pass through a stage, failed ones too."""
        return self._seconds.labels(name).time()

    def answered(self, seconds: float) -> None:
        """A search was answered."""
        self._seconds.labels("total").observe(seconds)
