"""What chaos came to: a row for each scenario, printed as a table at the end of the session."""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.chaos.judge import Verdict

PROPERTY = "chaos"
"""The property of a test's report that carries its row: reports travel from the processes that run tests."""


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

    def cells(self) -> list[str]:
        """It as text, column by column: what a process that ran the scenario can hand to the one that prints."""
        verdict = self.verdict
        counts = (verdict.lost, verdict.stale, verdict.resurrected, verdict.incomplete, verdict.mixed)
        return [
            self.scenario,
            self.faults,
            f"{self.events:,}",
            f"{verdict.products:,}",
            *(str(len(names)) for names in counts),
            f"{verdict.dead_letters}",
            str(self.reconciled),
            f"{self.seconds:.0f}",
            str(self.seed),
        ]


def table(rows: list[list[str]]) -> str:
    """The cells of all rows, as text."""
    heads = ("scenario", "faults", "events", "products", "lost", "stale", "resurrected", "incomplete", "mixed")
    printed = Table(*heads, "dead letters", "reconcile", "s", "seed", box=None, pad_edge=False)
    for column in printed.columns[2:]:
        column.justify = "right"
    for row in rows:
        printed.add_row(*row)
    screen = Console(file=io.StringIO(), width=160, record=True)
    screen.print(printed)
    return screen.export_text()
