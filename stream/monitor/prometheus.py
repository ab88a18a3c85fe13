"""What only workers know, asked of the Prometheus that scrapes them: how fresh products were, what became of events."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from stream.monitor.positions import MonitorError
from stream.monitor.state import Sample

TIMEOUT_SECONDS = 5.0
STEP_SECONDS = 60
_FRESHNESS = (
    'histogram_quantile({q}, sum by (le) (rate(freshline_freshness_seconds_bucket{{view="{v}",lane="live"}}[5m])))'
)
_OUTCOMES = 'sum by (outcome) (rate(freshline_events_total{lane="live"}[5m]))'

Curve = list[tuple[float, float]]
"""(seconds since 1970, value), oldest first."""


class PrometheusReader:
    """Asks a Prometheus server by HTTP."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise MonitorError(f"FRESHLINE_PROMETHEUS_URL: {url}: not an http or https address")
        self._url = url.rstrip("/")

    def freshness(self, view: str, quantile: float, start_seconds: float, end_seconds: float) -> Curve:
        """Seconds from occurrence to readable, of live events over 5 minutes; where there were none, nothing.

        Raises:
            MonitorError: no answer, or none that can be understood.
        """
        query = _FRESHNESS.format(q=quantile, v=view)
        span = {"start": f"{start_seconds:.0f}", "end": f"{end_seconds:.0f}", "step": str(STEP_SECONDS)}
        series = self._ask("query_range", {"query": query} | span)
        points = series[0]["values"] if series else []
        return [(float(at), float(value)) for at, value in points if math.isfinite(float(value))]

    def outcomes(self) -> dict[str, float]:
        """Events a second on the live lane, by outcome, over 5 minutes.

        Raises:
            MonitorError: as `freshness`.
        """
        series = self._ask("query", {"query": _OUTCOMES})
        return {each["metric"].get("outcome", ""): float(each["value"][1]) for each in series}

    def _ask(self, what: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        url = f"{self._url}/api/v1/{what}?{urlencode(parameters)}"
        try:
            with urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 (checked above)
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except (OSError, HTTPException) as error:
            raise MonitorError(f"{self._url}: {getattr(error, 'reason', error)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise MonitorError(f"{self._url}: its answer is not Prometheus's") from error
        return found


def with_freshness(samples: Sequence[Sample], median: Curve, p99: Curve) -> list[Sample]:
    """The samples with what the curves say of their moments."""
    return [
        sample.model_copy(update={"freshness_p50": _at(median, sample.at_ms), "freshness_p99": _at(p99, sample.at_ms)})
        for sample in samples
    ]


def _at(curve: Curve, at_ms: int) -> float | None:
    """The newest value at that moment, if it isn't too old to speak of it."""
    index = bisect_right(curve, at_ms / 1000, key=lambda point: point[0]) - 1
    if index < 0 or curve[index][0] < at_ms / 1000 - 2 * STEP_SECONDS:
        return None
    return curve[index][1]
