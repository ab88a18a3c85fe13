"""What the benchmark of replays found, as figures and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

MB = 1_000_000


@dataclass(frozen=True)
class ReplayReport:
    """One run of `freshline bench replay`."""

    machine: str
    workers: int
    events: int
    per_second: float
    """From the tenth of the events on, to nine tenths: without the start and the end."""
    upserts_per_second: float
    """Of the same points, as many as there are events, by the client alone, in the same run."""
    hot_upserts_per_second: float
    """Of 2,000 of them again and again: Qdrant has those at hand, and no index to build anew."""
    counts: Mapping[str, int]
    """What the replay itself reports."""
    command_bytes: tuple[int, int, int]
    """Memory of the command: after a fifth of the events, at the end, at most."""
    workers_bytes: tuple[int, int, int]
    """Of all workers together."""

    @property
    def ratio(self) -> float:
        """Events for each plain upsert."""
        return self.per_second / self.upserts_per_second

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self) | {"ratio": self.ratio}

    def table(self) -> RenderableType:
        """All of it, for a person."""
        table = Table.grid(padding=(0, 2))
        table.add_row("events without a new picture", f"{self.per_second:,.0f} /s")
        hot = self.hot_upserts_per_second
        table.add_row(
            "plain upserts of its points", f"{self.upserts_per_second:,.0f} /s", f"{self.ratio:.2f} events for each"
        )
        table.add_row("of the same 2,000", f"{hot:,.0f} /s", f"{self.per_second / hot:.2f} events for each")
        for name, found in (("the command's memory", self.command_bytes), ("the workers'", self.workers_bytes)):
            warm, end, peak = found
            table.add_row(name, f"{end / MB:,.0f} MB", f"peak {peak / MB:,.0f} MB, {end / warm - 1:+.1%} since a fifth")
        table.add_row("came to", ", ".join(f"{count:,} {name}" for name, count in self.counts.items() if count))
        return Group(f"{self.machine}, {self.workers} worker(s), {self.events:,} events", "", table)
