"""`freshline doctor`: what is wrong with an installation, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from freshline.doctor.findings import Finding
    from freshline.doctor.reconciliation import Reconcile
    from stream.reconcile.report import Report

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def doctor(
    reconcile: Annotated[bool, typer.Option("--reconcile", help="Compare the view with the event topic.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Reconcile, and replay the events that differ.")] = False,
    delete_orphans: Annotated[
        bool, typer.Option("--delete-orphans", help="With --repair: remove points that no event explains.")
    ] = False,
    examples: Annotated[int, typer.Option(min=0, help="How many products of each kind are shown.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is found as JSON.")] = False,
) -> None:
    """Check this installation: Kafka, topics, Qdrant, view, bundle, device, clock. Exits 1 if anything failed.

    Example: freshline doctor --reconcile
    """
    from freshline.doctor.checks import CHECKS
    from freshline.doctor.findings import Status, examine
    from freshline.doctor.reconciliation import Reconcile
    from freshline.doctor.site import Site
    from freshline.logs import configure
    from freshline.settings import Settings

    if delete_orphans and not repair:
        raise typer.BadParameter("--delete-orphans goes with --repair")
    settings = Settings()
    configure(settings.log_format, settings.log_level, settings.secrets())
    with Site(settings) as site, _bars() as progress:
        asked = Reconcile(examples, repair, delete_orphans, progress) if reconcile or repair else None
        checks = (*CHECKS, asked.check) if asked else CHECKS
        findings = dict(examine(checks, site))
    healthy = all(finding.status is not Status.FAILED for finding in findings.values())
    if as_json:
        typer.echo(json.dumps(_document(findings, asked, healthy=healthy), indent=2, ensure_ascii=False))
    else:
        _print(findings, asked)
    if not healthy:
        raise typer.Exit(1)


def _document(findings: dict[str, Finding], asked: Reconcile | None, *, healthy: bool) -> dict[str, Any]:
    checks = [{"name": name} | vars(finding) for name, finding in findings.items()]
    return {"ok": healthy, "checks": checks, "reconcile": asked.as_json() if asked else None}


def _print(findings: dict[str, Finding], asked: Reconcile | None) -> None:
    console = Console()
    table = Table("check", "", "found", box=None, header_style="bold", pad_edge=False)
    for name, finding in findings.items():
        found = Text(finding.message)
        for line in finding.advice.splitlines():
            found.append(f"\n→ {line}", "cyan")
        table.add_row(Text(name), Text(finding.status, _COLOURS[finding.status]), found)
    console.print(table)
    if asked and asked.report:
        _print_report(console, asked.report)


def _print_report(console: Console, report: Report) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.counts.items())
    size = f"{report.events} events ({report.refused} refused), {report.points} points"
    console.print(Text(f"\n{size}: {kinds or 'equal'}"))
    if not report.examples:
        return
    table = Table("kind", "product", "the log", "the view", box=None, header_style="bold", pad_edge=False)
    for kind, found in report.examples.items():
        for each in found:
            letter = " (a dead letter)" if each.dead_letter else ""
            table.add_row(*map(Text, (kind, each.product_id, _facts(each.log) + letter, _facts(each.view))))
    console.print(table)


def _facts(facts: dict[str, Any] | None) -> str:
    return "nothing" if facts is None else ", ".join(f"{name} {value}" for name, value in facts.items())


@contextmanager
def _bars() -> Iterator[Any]:
    """A progress bar for each step of a reconciliation, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def advance(what: str, more: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.advance(tasks[what], more)

        yield advance
