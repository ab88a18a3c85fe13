"""The reconciliation as one more check, and its repair."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from freshline.doctor.findings import Check, Finding, failed, ok
from freshline.doctor.site import Site
from stream.reconcile.compare import DIFFERENCES
from stream.reconcile.ledger import Ledger
from stream.reconcile.repair import Repaired, repair
from stream.reconcile.report import Report
from stream.reconcile.run import Progress, Reconciliation, Scope


@dataclass
class Reconcile:
    """What was asked for, and, once `check` has run, what was found and done."""

    examples: int = 10
    repair: bool = False
    delete_orphans: bool = False
    progress: Progress = lambda *_: None
    report: Report | None = field(default=None, init=False)
    repaired: Repaired | None = field(default=None, init=False)

    @property
    def check(self) -> Check[Site]:
        """To be run after all others."""
        return Check("reconcile", partial(_examine, self), ("kafka", "qdrant", "view"))

    def as_json(self) -> dict[str, Any] | None:
        """For machines; None if it could not be run."""
        if self.report is None:
            return None
        return self.report.as_json() | {"repair": vars(self.repaired) if self.repaired else None}


def _examine(asked: Reconcile, site: Site) -> Finding:
    settings = site.settings
    scope = Scope(settings.kafka(), settings.topics, site.view, site.groups, settings.versions, examples=asked.examples)
    with Ledger() as ledger:
        report = asked.report = Reconciliation(scope, site.store, site.reader, ledger, asked.progress).run()
        if asked.repair and report.differences:
            asked.repaired = repair(
                scope,
                site.store,
                site.reader,
                ledger,
                delete_orphans=asked.delete_orphans,
                progress=asked.progress,
            )
    return _said(asked, report)


def _said(asked: Reconcile, report: Report) -> Finding:
    if not report.differences:
        return ok(f"{report.points} points and {report.products} products do not differ{_besides(report)}")
    kinds = ", ".join(f"{report.counts[kind]} {kind}" for kind in DIFFERENCES if report.counts[kind])
    message = f"{report.differences} of {report.products} products differ: {kinds}"
    if not asked.repaired:
        return failed(message, "freshline doctor --repair sends their events again")
    done = asked.repaired
    message += f"; {done.resent} event(s) sent again, {done.removed} point(s) removed"
    return failed(message, "let `freshline worker --lane replay` work on them, then reconcile again")


def _besides(report: Report) -> str:
    return "".join(f", {count} {kind}" for kind, count in report.counts.items())
