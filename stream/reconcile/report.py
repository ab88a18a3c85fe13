"""What a reconciliation found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from stream.reconcile.compare import DIFFERENCES, Kind, Winner, unencoded
from stream.reconcile.ledger import Difference


@dataclass(frozen=True)
class Example:
    """One product, what the log says of it, and what the view holds; None: nothing."""

    product_id: str
    log: dict[str, Any] | None
    view: dict[str, Any] | None
    dead_letter: bool = False
    """The log's event was given up on."""


@dataclass
class Report:
    """Counts of everything, and a few examples of each kind."""

    view: str
    events: int = 0
    refused: int = 0
    """Events that were not valid when they came: they win over nothing."""
    products: int = 0
    points: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    examples: dict[Kind, list[Example]] = field(default_factory=dict)

    @property
    def differences(self) -> int:
        """How many products the view holds otherwise than the log wants."""
        return sum(self.counts[kind] for kind in DIFFERENCES)

    def as_json(self) -> dict[str, Any]:
        """For machines; every kind is there."""
        return {
            "view": self.view,
            "events": self.events,
            "refused": self.refused,
            "products": self.products,
            "points": self.points,
            "differences": self.differences,
            "counts": {kind.value: self.counts[kind] for kind in Kind},
            "examples": {kind.value: [vars(each) for each in found] for kind, found in self.examples.items()},
        }


def example(found: Difference, *, dead_letter: bool) -> Example:
    """A difference as a person wants to see it."""
    winner, seen = found.winner, found.seen
    view: dict[str, Any] | None = None
    if seen is not None:
        view = {"version": seen.version, "offset": seen.offset, "deleted": seen.deleted, "encoded": len(seen.encoded)}
        if winner and found.kind in (Kind.INCOMPLETE, Kind.EXPLAINED):
            view["not_encoded"] = unencoded(winner.wanted, seen.encoded)
    return Example(found.product_id or f"point {found.id}", _said(winner) if winner else None, view, dead_letter)


def _said(winner: Winner) -> dict[str, Any]:
    return {
        "version": winner.version,
        "partition": winner.partition,
        "offset": winner.offset,
        "deleted": winner.deleted,
    }
