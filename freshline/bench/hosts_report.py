"""What the benchmark of image hosts found, as figures and as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table


@dataclass(frozen=True)
class Freshness:
    """Seconds from an event's `occurred_at` until its product is there, over so many products."""

    products: int
    p50: float
    p99: float
    slowest: float


@dataclass(frozen=True)
class HostsReport:
    """One run of `freshline bench hosts`."""

    machine: str
    hosts: int
    workers: int
    capacity_per_second: float
    """Events with a new picture, all hosts well."""
    per_second: float
    """Events while one host hung."""
    seconds: float
    others: Freshness
    """Products of the other hosts."""
    hanging: Freshness
    """Products of the host that hung: findable by what is known without the picture."""
    parked: int
    """Events of the host that hung, parked by the live lane."""
    completed_seconds: float | None
    """From when the host was well again until the last of its products had its picture; None: not within minutes."""

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)

    def table(self) -> RenderableType:
        """All of it, for a person."""
        table = Table("", "products", "p50 s", "p99 s", "slowest s", box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for name, each in ((f"the other {self.hosts - 1} hosts", self.others), ("the host that hung", self.hanging)):
            seconds = (f"{value:.2f}" for value in (each.p50, each.p99, each.slowest))
            table.add_row(name, f"{each.products:,}", *seconds)
        return Group(
            f"{self.machine}, {self.workers} live worker(s); capacity {self.capacity_per_second:,.0f} events/s",
            f"{self.per_second:,.0f} events/s for {self.seconds:.0f} s while 1 of {self.hosts} hosts hung",
            "",
            table,
            "",
            f"parked: {self.parked:,}; {self._completed()}",
        )

    def _completed(self) -> str:
        if self.completed_seconds is None:
            return "not all complete within minutes of the host's being well again"
        return f"all complete {self.completed_seconds:.0f} s after the host was well again"
