"""What chaos came to: a row for each scenario, printed as a table at the end of the session."""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.chaos.judge import Verdict


@dataclass(frozen=True)
class Row:
    """One scenario."""

    scenario: str
    faults: str
    events: int
    verdict: Verdict
    reconciled: int
    """Differences that `doctor --reconcile` found."""
    seconds: float
    seed: int


def table(rows: list[Row]) -> str:
    """All of them, as text."""
    heads = ("scenario", "faults", "events", "products", "lost", "stale", "resurrected", "incomplete", "mixed")
    printed = Table(*heads, "dead letters", "reconcile", "s", "seed", box=None, pad_edge=False)
    for column in printed.columns[2:]:
        column.justify = "right"
    for row in rows:
        verdict = row.verdict
        counts = (verdict.lost, verdict.stale, verdict.resurrected, verdict.incomplete, verdict.mixed)
        printed.add_row(
            row.scenario,
            row.faults,
            f"{row.events:,}",
            f"{verdict.products:,}",
            *(str(len(names)) for names in counts),
            f"{verdict.dead_letters}",
            str(row.reconciled),
            f"{row.seconds:.0f}",
            str(row.seed),
        )
    screen = Console(file=io.StringIO(), width=160, record=True)
    screen.print(printed)
    return screen.export_text()
