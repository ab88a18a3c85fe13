"""Every metric of every process, as docs/metrics.md has it: `python -m freshline.metrics_doc > docs/metrics.md`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from freshline.canary.metrics import CanaryMetrics
from freshline.process import introduce
from search.metrics import SearchMetrics
from stream.metrics import Metrics
from stream.monitor.collector import MonitorCollector, failures
from stream.monitor.pending import LaneFacts
from stream.monitor.state import OpsState


class _Nothing:
    """What a monitor knows at its start."""

    facts: ClassVar[dict[str, list[LaneFacts]]] = {}
    last_success_seconds = 0.0

    def state(self) -> OpsState:
        return OpsState(at_ms=0, version="", goal_seconds=1)


def _monitor(registry: CollectorRegistry) -> None:
    registry.register(MonitorCollector(_Nothing()))
    failures(registry)
    CanaryMetrics(registry)


PROCESSES: dict[str, Callable[[CollectorRegistry], object]] = {
    "`freshline worker`": lambda registry: Metrics(registry, view="", lane=""),
    "`freshline serve`": SearchMetrics,
    "`freshline monitor`": _monitor,
    "Every process": introduce,
}
"""What puts a process's metrics into a registry."""

_HEAD = """# Metrics

Every metric of every process, at its `/metrics`. Written by `make metrics` from the code: change it there. What the
alerts make of them: [slo.md](slo.md).
"""


class _Listing(CollectorRegistry):
    """Remembers what is registered, also that which has no samples yet."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        self.collectors.append(collector)


def families(fill: Callable[[CollectorRegistry], object]) -> Iterator[Metric]:
    """The metrics of one process; those with labels have a sample, whose labels are named after themselves."""
    listing = _Listing()
    fill(listing)
    for collector in listing.collectors:
        if isinstance(collector, MetricWrapperBase) and collector._labelnames:
            collector.labels(*collector._labelnames)
        yield from collector.collect()


def full_name(metric: Metric) -> str:
    """As a query has it."""
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def document() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(process, list(families(fill))) for process, fill in PROCESSES.items())])


def _section(process: str, metrics: list[Metric]) -> str:
    rows = [f"| `{full_name(metric)}` | {metric.type} | {_labels(metric)} | {_help(metric)} |" for metric in metrics]
    return "\n".join([f"## {process}\n", "| metric | type | labels | what |", "|---|---|---|---|", *rows, ""])


def _labels(metric: Metric) -> str:
    named: Any = getattr(metric, "_labelnames", ())
    names = {*named, *(label for sample in metric.samples for label in sample.labels)} - {"le"}
    return ", ".join(f"`{name}`" for name in sorted(names))


def _help(metric: Metric) -> str:
    text = " ".join(metric.documentation.split()).replace("|", "\\|")
    buckets = dict.fromkeys(sample.labels["le"] for sample in metric.samples if "le" in sample.labels)
    return f"{text} Buckets: {', '.join(bound.removesuffix('.0') for bound in buckets)}." if buckets else text


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201
