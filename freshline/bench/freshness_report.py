"""What the benchmark of freshness found, as figures and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from freshline.bench.hosts_report import Freshness


@dataclass(frozen=True)
class Quantiles:
    """Seconds, over the events that went through a part."""

    events: int
    p50: float
    p99: float


@dataclass(frozen=True)
class Outage:
    """What an outage left, and how that was worked off."""

    seconds: float
    backlog: int
    """Events that waited when the workers were started again."""
    first_seconds: float
    """From then until the first of them could be found: starting, and the dead members' session."""
    caught_up_seconds: float
    """From then until the oldest waiting event was younger than the goal again."""
    arriving_per_second: float
    """Events published meanwhile."""
    worked_off_per_second: float
    """Events that became findable, from the first one until they had caught up."""
    under_goal_seconds: float
    """From the start until the last event over the goal could be found."""
    slowest: float
    """The highest freshness, in seconds."""

    @property
    def ratio(self) -> float:
        """How fast the backlog was worked off, in arrivals."""
        return self.worked_off_per_second / self.arriving_per_second


@dataclass(frozen=True)
class FreshnessReport:
    """One run of `freshline bench freshness`."""

    machine: str
    bundle: str
    workers: int
    products: int
    """In the view, before."""
    capacity_per_second: float
    capacity_again_per_second: float
    """The same at the end: a ratio to arrivals says little where it has changed since."""
    per_second: float
    """Events published at a steady rate."""
    seconds: float
    steady: Freshness
    resolution_seconds: float
    """The longest time from one look to the end of the next: each freshness is at most that much too long."""
    parts: Mapping[str, Quantiles]
    goal_seconds: float
    outage: Outage

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        figures = asdict(self)
        figures["outage"]["ratio"] = self.outage.ratio
        return figures

    def table(self) -> RenderableType:
        """All of it, for a person."""
        table = Table("", "events", "p50 s", "p99 s", "slowest s", box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        steady, outage = self.steady, self.outage
        seconds = [f"{value:.3f}" for value in (steady.p50, steady.p99, steady.slowest)]
        table.add_row("freshness, from outside", f"{steady.products:,}", *seconds)
        for name, part in self.parts.items():
            table.add_row(f"  {name}", f"{part.events:,}", f"{part.p50:.3f}", f"{part.p99:.3f}", "")
        return Group(
            f"{self.machine}, {self.workers} worker(s); {self.bundle}",
            f"{self.products:,} products to begin with; capacity {self.capacity_per_second:,.0f} events/s "
            f"with a new picture, {self.capacity_again_per_second:,.0f} at the end",
            f"{self.per_second:,.0f} events/s for {self.seconds:.0f} s, looked for every "
            f"{self.resolution_seconds:.2f} s at the latest",
            "",
            table,
            "",
            f"workers killed for {outage.seconds:.0f} s: {outage.backlog:,} events wait; "
            f"{outage.first_seconds:.1f} s to the first one found",
            f"worked off at {outage.worked_off_per_second:,.0f} events/s, {outage.ratio:.2f} times the arrivals; "
            f"caught up after {outage.caught_up_seconds:.0f} s",
            f"freshness under {self.goal_seconds:g} s again after {outage.under_goal_seconds:.0f} s "
            f"(slowest {outage.slowest:.0f} s)",
        )
