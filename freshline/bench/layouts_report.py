"""What the benchmark of layouts found, as figures and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from freshline.bench.recall import Row

MB = 1e6


@dataclass(frozen=True)
class Ran:
    """One way."""

    name: str
    written_seconds: float
    built_seconds: float
    """From the beginning of the writing until the index was built."""
    memory_bytes: int
    rows: Sequence[Row]
    beside: Row
    """While products were written again."""


@dataclass(frozen=True)
class LayoutsReport:
    """One run of `freshline bench layouts`."""

    machine: str
    products: int
    pictures: int
    dimension: int
    queries: int
    apart: float
    rans: Sequence[Ran]

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)

    def table(self) -> RenderableType:
        """All of it, for a person."""
        heads = ("written s", "built s", "Qdrant MB", "ef", "recall@10", "p50 ms", "p99 ms")
        table = Table("", *heads, box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for ran in self.rans:
            of = (f"{ran.written_seconds:,.0f}", f"{ran.built_seconds:,.0f}", f"{ran.memory_bytes / MB:,.0f}")
            table.add_row(ran.name, *of)
            for row in (*ran.rows, ran.beside):
                name = f"{row.question}, beside writes" if row is ran.beside else row.question
                found = (f"{row.recall:.3f}", f"{row.p50 * 1000:.1f}", f"{row.p99 * 1000:.1f}")
                table.add_row(f"  {name}", "", "", "", str(row.ef), *found)
        size = f"{self.products:,} products, {self.pictures:,} pictures {self.apart:g} apart, {self.dimension}-d"
        return Group(f"{self.machine}; {size}; {self.queries} queries", "", table)
