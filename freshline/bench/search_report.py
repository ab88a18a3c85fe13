"""What the benchmark of the search service found, as figures and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from freshline.bench.hosts_report import Freshness
from freshline.bench.openloop import Window
from freshline.bench.recall import Row

MB = 1e6


@dataclass(frozen=True)
class Kind:
    """One kind of search, at the highest rate that was answered in time, at twice that, and again as before."""

    name: str
    limit: float
    """Seconds that 99 of 100 answers may take."""
    usual: Window
    """At half of that rate."""
    steady: Window
    double: Window
    after: Window
    stages: Mapping[str, float]
    """Mean seconds of a search in each stage, at the steady rate."""
    memory_bytes: tuple[int, int]
    """Of the service: before the three, and after."""


@dataclass(frozen=True)
class Beside:
    """Searches and a worker, each alone and at once."""

    per_second: float
    """New products that were published."""
    search: Window
    search_beside: Window
    freshness: Freshness
    freshness_beside: Freshness


@dataclass(frozen=True)
class SearchReport:
    """One run of `freshline bench search`."""

    machine: str
    products: int
    seconds: float
    written_seconds: float
    built_seconds: float
    """After all was written, until the index was built."""
    memory_bytes: int
    """Of Qdrant."""
    asked: Sequence[Row]
    """By the service's query, without the service."""
    kinds: Sequence[Kind]
    filtered: Window
    """By a picture, at half of its highest rate, among the products of one brand in eight."""
    beside: Beside | None

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
            at = (("half of it", kind.usual), ("highest in time", kind.steady), ("twice that", kind.double))
            for what, each in (*at, ("again", kind.after)):
                table.add_row(f"{kind.name}, {what}", *_cells(each))
        table.add_row("by a picture, half of it, of one brand in eight", *_cells(self.filtered))
        remarks = [_remarks(kind) for kind in self.kinds]
        if self.beside:
            table.add_row("by a picture, alone", *_cells(self.beside.search))
            table.add_row("by a picture, beside a worker", *_cells(self.beside.search_beside))
            remarks += _freshness(self.beside)
        return Group(
            f"{self.machine}; {self.products:,} products",
            f"written in {self.written_seconds:,.0f} s, the index built {self.built_seconds:,.0f} s later, "
            f"Qdrant {self.memory_bytes / MB:,.0f} MB",
            f"{self.seconds:g} s at each rate; in time: all are answered, 99 of 100 within the limit",
            "",
            table,
            "",
            *remarks,
            "",
            _recall(self.asked),
        )


def _cells(window: Window) -> tuple[str, ...]:
    times = (f"{value * 1000:,.1f}" for value in (window.p50, window.p99))
    counts = (f"{window.shed:,}", f"{window.failed:,}", f"{window.slowest_refusal * 1000:,.0f}" if window.shed else "")
    return (f"{window.per_second:,.0f}", f"{window.answered:,}", *times, *counts)


def _recall(rows: Sequence[Row]) -> Table:
    table = Table("one at a time, without the service", "ef", "recall@10", "p50 ms", "p99 ms", box=None, pad_edge=False)
    for row in rows:
        times = (f"{row.p50 * 1000:.1f}", f"{row.p99 * 1000:.1f}")
        table.add_row(row.question, str(row.ef), f"{row.recall:.3f}", *times)
    return table


def _freshness(beside: Beside) -> list[str]:
    return [
        f"{beside.per_second:.0f} new products/s {how}: freshness p50 {each.p50:.2f} s, p99 {each.p99:.2f} s"
        for how, each in (("alone", beside.freshness), ("beside searches", beside.freshness_beside))
    ]


def _remarks(kind: Kind) -> str:
    stages = ", ".join(f"{stage} {seconds * 1000:.1f}" for stage, seconds in kind.stages.items())
    before, after = (f"{each / MB:,.0f}" for each in kind.memory_bytes)
    limit = f"{kind.limit * 1000:g} ms"
    return f"{kind.name}, within {limit}: ms by stage: {stages}; memory {before} to {after} MB"
