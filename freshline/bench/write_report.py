"""What the benchmark of writes found, as figures and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from schemas.events import VersionScheme

BASE = "client"
LABELS = {
    "client": "the client's own upsert",
    "unguarded": "our messages, no guard",
    "guarded": "our messages, guarded",
    "whole_new_pictures": "read, guarded, read back",
    "whole_kept_pictures": "  the same, vectors kept",
}


@dataclass(frozen=True)
class WriteCase:
    """One version scheme at one dimension; `rates` are points a second by way of writing, one for each round."""

    scheme: VersionScheme
    dimension: int
    rates: Mapping[str, Sequence[float]]

    def per_second(self, way: str) -> float:
        """The median over the rounds."""
        return median(self.rates[way])

    def ratio(self, way: str) -> float:
        """Beside the client's own upsert in the same round: the median over the rounds."""
        return median(one / base for one, base in zip(self.rates[way], self.rates[BASE], strict=True))


@dataclass(frozen=True)
class WriteReport:
    """One run of `freshline bench write`."""

    products: int
    batch: int
    rounds: int
    cases: Sequence[WriteCase]

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        cases = [
            {
                "versions": case.scheme,
                "dimension": case.dimension,
                "points_per_second": {way: case.per_second(way) for way in case.rates},
                "ratio": {way: case.ratio(way) for way in case.rates},
                "rounds": {way: list(rates) for way, rates in case.rates.items()},
            }
            for case in self.cases
        ]
        return {"products": self.products, "batch": self.batch, "rounds": self.rounds, "cases": cases}

    def table(self) -> RenderableType:
        """All of it, for a person."""
        heads = [f"{case.scheme}s\n{case.dimension}-d" for case in self.cases]
        table = Table("points/s", *heads, box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for way, label in LABELS.items():
            table.add_row(label, *(f"{case.per_second(way):,.0f} {case.ratio(way):.2f}" for case in self.cases))
        size = f"{self.products:,} products in batches of {self.batch}, medians of {self.rounds} rounds"
        return Group(size, "", table)
