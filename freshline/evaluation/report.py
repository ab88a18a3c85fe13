"""What an evaluation found, as a table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from encoders.metrics import Estimate, Quality
from search.evaluation import DEPTH, Answer, Evaluation

_CATEGORIES, _NAME = 30, 16


@dataclass(frozen=True)
class EvaluationReport:
    """One evaluation, perhaps beside another one of the same queries."""

    evaluation: Evaluation
    other: Evaluation | None = None

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON, down to each query."""
        figures = _figures(self.evaluation)
        if self.other is not None:
            comparison = self.evaluation.against(self.other)
            figures["against"] = _figures(self.other)
            figures["comparison"] = asdict(comparison)
        return figures

    def table(self) -> RenderableType:
        """What a person wants to know."""
        table = Table("", "queries", "Recall@1", "Recall@10", "MRR", box=None, pad_edge=False, header_style="bold")
        for column in table.columns[1:]:
            column.justify = "right"
        table.add_row("all" if self.other is None else "first", *_cells(self.evaluation.overall()))
        if self.other is not None:
            table.add_row("second", *_cells(self.other.overall()))
            table.add_row("first - second", *_cells(self.evaluation.against(self.other).difference))
        rows = list(self.evaluation.by_category().items())
        for name, quality in rows[:_CATEGORIES]:
            table.add_row(f"  {name}"[:_NAME], *_cells(quality))
        if len(rows) > _CATEGORIES:
            table.add_row(f"  {len(rows) - _CATEGORIES} more")
        return Group(*self._heading(), "", table, "", *self._remarks())

    def _heading(self) -> Iterator[str]:
        for each in (self.evaluation, self.other):
            if each is not None:
                yield f"{each.bundle} on {each.view}"

    def _remarks(self) -> Iterator[str]:
        for each in (self.evaluation, self.other):
            if each is not None and each.absent:
                yield f"{each.absent} queries are for products that {each.view} does not hold: they count as not found"
        if self.other is not None:
            won = self.evaluation.against(self.other)
            yield f"the first ranks {won.won:,} queries better and {won.lost:,} worse than the second"
        yield f"with intervals of 95 %; MRR over the first {DEPTH} products"


def _cells(quality: Quality) -> tuple[str, ...]:
    return f"{quality.queries:,}", *map(_cell, (quality.recall_at_1, quality.recall_at_10, quality.mrr))


def _cell(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} {estimate.low:.2f}..{estimate.high:.2f}"


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "bundle": evaluation.bundle,
        "view": evaluation.view,
        "depth": DEPTH,
        "absent": evaluation.absent,
        "overall": asdict(evaluation.overall()),
        "categories": {name: asdict(quality) for name, quality in evaluation.by_category().items()},
        "answers": [_answer(answer) for answer in evaluation.answers],
    }


def _answer(answer: Answer) -> Mapping[str, Any]:
    return {
        "query": answer.query.name,
        "products": list(answer.query.products),
        "category": answer.category,
        "rank": None if math.isinf(answer.rank) else int(answer.rank),
        "found": [hit.product_id for hit in answer.hits],
    }
