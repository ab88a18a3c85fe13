"""What `freshline rollout` shows."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from freshline.rollout.comparison import Compared
from freshline.rollout.gate import Check
from freshline.rollout.local_workers import LocalWorkers
from freshline.rollout.progress import ViewProgress
from infra.local.processes import Process


def say(message: str) -> None:
    """One line, as it is."""
    Console(soft_wrap=True, highlight=False, markup=False).print(message)


def say_started(
    view: str, serving: str, bundle: Path, running: Mapping[str, Process] | None, own: LocalWorkers | None
) -> None:
    """Who works for the view now, or how that is begun; and what comes next."""
    if running is not None and own is not None:
        for lane, process in running.items():
            say(f"worker --lane {lane}: process {process.pid}, log {own.log(lane)}")
    else:
        say("start its workers, on as many machines as it is to be done with:")
        settings = f"FRESHLINE_VIEW={view} FRESHLINE_BUNDLE={shlex.quote(str(bundle))}"
        for lane in ("live", "retry"):
            say(f"  {settings} freshline worker --lane {lane}")
    say(f"have the workers of now started with FRESHLINE_VIEW={serving}: else, after the switch, a restart moves them")
    say(f"have the search instances started with FRESHLINE_BUNDLES={shlex.quote(str(bundle))}, so that they can follow")
    say("then: freshline rollout status --wait; evaluate; switch; finish")


def print_status(views: Iterable[ViewProgress]) -> None:
    """A row for each view."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("view", no_wrap=True)
    table.add_column("")
    for name in ("products", "workers", "oldest pending", "lag", "done in", "data"):
        table.add_column(name, justify="right")
    for view in views:
        table.add_row(view.name, view.role, f"{view.products:,}", *_lane(view), _size(view.data_bytes))
    Console().print(table)


def _lane(view: ViewProgress) -> tuple[str, ...]:
    live = view.lane("live")
    if live is None:
        return "?", "?", "?", "?"
    left = "never" if live.catch_up_seconds is None else _span(live.catch_up_seconds)
    return str(live.members), _span(live.oldest_pending_seconds), f"{live.lag_events:,}", left


def print_judgement(compared: Compared, checks: Sequence[Check]) -> None:
    """Both views side by side, and each condition."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("", "Recall@1", "Recall@10", "MRR", "p50 ms", "p99 ms", "absent"):
        table.add_column(name, justify="right" if name else "left")
    for each in (compared.building, compared.serving):
        quality = each.quality
        recall = [f"{figure.value:.3f}" for figure in (quality.recall_at_1, quality.recall_at_10, quality.mrr)]
        table.add_row(
            f"{each.view} ({each.bundle})", *recall, f"{each.p50_ms:.1f}", f"{each.p99_ms:.1f}", f"{each.absent}"
        )
    console = Console(highlight=False)
    console.print(table)
    console.print()
    for check in checks:
        console.print(f"{'[green]ok[/green]  ' if check.ok else '[red]no[/red]  '} {check.name}: {check.said}")


@contextmanager
def waiting() -> Iterator[Callable[[ViewProgress, Sequence[str]], None]]:
    """Shows how far a view is, where stderr is a terminal."""
    with _bars() as bars:
        task = bars.add_task("building", total=None)

        def show(view: ViewProgress, problems: Sequence[str]) -> None:
            live = view.lane("live")
            ends = sum(each.end_offset - each.begin_offset for each in live.partitions) if live else None
            done = ends - live.lag_events if live and ends is not None else 0
            bars.update(task, total=ends, completed=done, description=problems[0])

        yield show


@contextmanager
def asking(total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many queries are answered, where stderr is a terminal."""
    with _bars() as bars:
        task = bars.add_task("asking", total=total)
        yield lambda count: bars.advance(task, count)


def _bars() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _size(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:,.1f} MB"
