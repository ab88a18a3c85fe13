"""What the benchmark of the search service found, as figures and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from freshline.bench.openloop import Window

MB = 1e6


@dataclass(frozen=True)
class Kind:
    """One kind of search, at the highest rate that was answered in time, at twice that, and again as before."""

    name: str
    steady: Window
    double: Window
    after: Window
    stages: Mapping[str, float]
    """Mean seconds of a search in each stage, at the steady rate."""
    memory_bytes: tuple[int, int]
    """Of the service: before the three, and after."""


@dataclass(frozen=True)
class SearchReport:
    """One run of `freshline bench search`."""

    machine: str
    products: int
    seconds: float
    limit: float
    kinds: Sequence[Kind]

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)

    def table(self) -> RenderableType:
        """All of it, for a person."""
        heads = ("searches/s", "answered", "p50 ms", "p99 ms", "shed", "failed", "slowest no ms")
        table = Table("", *heads, box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for kind in self.kinds:
            for what, each in (("highest in time", kind.steady), ("twice that", kind.double), ("again", kind.after)):
                table.add_row(f"{kind.name}, {what}", *_cells(each))
        return Group(
            f"{self.machine}; {self.products:,} products",
            f"{self.seconds:g} s at each rate; in time: 99 of 100 within {self.limit * 1000:g} ms, and all answered",
            "",
            table,
            "",
            *(_remarks(kind) for kind in self.kinds),
        )


def _cells(window: Window) -> tuple[str, ...]:
    times = (f"{value * 1000:,.1f}" for value in (window.p50, window.p99))
    counts = (f"{window.shed:,}", f"{window.failed:,}", f"{window.slowest_refusal * 1000:,.0f}" if window.shed else "")
    return (f"{window.per_second:,.0f}", f"{window.answered:,}", *times, *counts)


def _remarks(kind: Kind) -> str:
    stages = ", ".join(f"{stage} {seconds * 1000:.1f}" for stage, seconds in kind.stages.items())
    before, after = kind.memory_bytes
    return f"{kind.name}: ms by stage: {stages}; memory {before / MB:,.0f} to {after / MB:,.0f} MB"
