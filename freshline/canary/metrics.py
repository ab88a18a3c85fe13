"""What the canary measures, under the names that alerts rely on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Step = Literal["published", "indexed", "found", "updated", "deleted", "gone"]
STEPS: tuple[Step, ...] = get_args(Step)

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300)


class CanaryMetrics:
    """`freshline_canary_*`, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "freshline_canary_seconds",
            "Of a step: indexed, updated and deleted since their event was published, the others by themselves.",
            ["view", "step"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._failures = Counter(
            "freshline_canary_failures", "Rounds that ended at this step.", ["view", "step"], registry=registry
        )
        self._success = Gauge(
            "freshline_canary_last_success_timestamp_seconds",
            "When a round last went well; absent before the first.",
            ["view"],
            registry=registry,
        )
        self._views: set[str] = set()

    def watch(self, views: Collection[str]) -> None:
        """Report these views, without failures so far where they are new, and no others."""
        for view in set(views) - self._views:
            for step in STEPS:
                self._failures.labels(view, step)
        for view in self._views - set(views):
            self._success.remove_by_labels({"view": view})
            self._failures.remove_by_labels({"view": view})
            self._seconds.remove_by_labels({"view": view})
        self._views = set(views)

    def took(self, view: str, step: Step, seconds: float) -> None:
        """A step went well."""
        self._seconds.labels(view, step).observe(seconds)

    def failed(self, view: str, step: Step) -> None:
        """A round ended at this step."""
        self._failures.labels(view, step).inc()

    def succeeded(self, view: str) -> None:
        """A round went well to its end, now."""
        self._success.labels(view).set_to_current_time()
