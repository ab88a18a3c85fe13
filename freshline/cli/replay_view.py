"""What `freshline replay` shows: the plan, how far it is, what it came to, and which replays there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from stream.replaying.cursor import ReplayState

_WORDS = {
    "indexed": "in the view now",
    "already_there": "were there before, or something newer was",
    "overtaken": "overtaken by something newer",
    "parked": "wait on the retry lane for their image host",
    "dead_letters": "are dead letters: freshline dead-letters list --lane replay",
    "failed": "are not in the view: see the worker's log, then freshline doctor --reconcile",
}


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Events a second, lately."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", "progress.data.speed")


class Screen:
    """Progress bars on stderr, where it is a terminal. A context manager."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._console = console
        self._task = self._bars.add_task("looking", total=None)
        self._said: str | None = None

    def advance(self, what: str, done: int, total: int) -> None:
        """So much of this is done."""
        self._bars.update(self._task, description=what, completed=done, total=total)

    def show(self, done: int, total: int) -> None:
        """So many events are worked off."""
        if self._said is None:
            self.advance("replaying", done, total)

    def say(self, what: str | None) -> None:
        """What is being waited for; said once, also where there are no bars."""
        if what is not None and what != self._said:
            self._bars.update(self._task, description="waiting")
            self._console.print(what, markup=False, highlight=False)
        self._said = what

    def close(self) -> None:
        """Take the bars away."""
        self._bars.stop()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bars.stop()


def print_plan(figures: Mapping[str, Any], *, done: int) -> None:
    """What will be done, on stderr."""
    plan = figures["plan"]
    count = f"{plan['events']:,} events" if plan["exact"] else f"at most {plan['events']:,} events"
    duration = timedelta(seconds=round(plan["estimated_seconds"]))
    parts = [
        f"{figures['options']}: {count} for {figures['view']}",
        f"about {plan['pictures_to_encode']:,} pictures to encode",
        f"about {duration} with {max(1, plan['workers'])} worker(s)",
    ]
    parts += [f"{done:,} done before"] if done else []
    parts += [f"named {figures['name']}"] if figures["name"] else []
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("; ".join(parts), markup=False)
    if (refused := figures.get("letters_refused")) and refused["count"]:
        console.print(f"{refused['count']} letters can't be sent again: freshline dead-letters redrive says why")


def print_report(report: Mapping[str, Any]) -> None:
    """What it came to."""
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    for name, count in report["counts"].items():
        if count or name in ("indexed", "already_there", "dead_letters", "failed"):
            table.add_row(Text(name.replace("_", " ")), Text(f"{count:,}"), Text(_WORDS[name], "dim"))
    console.print(table)
    console.print(f"in {report['seconds']:,.1f} s")


def print_replays(replays: Sequence[ReplayState]) -> None:
    """Which there are."""
    if not replays:
        Console().print("no replay runs, and none stopped before its end")
        return
    table = Table("name", "", "done", "of", "options", box=None, header_style="bold", pad_edge=False)
    for each in replays:
        state = f"runs on {each.host}" if each.running else "stopped"
        table.add_row(*map(Text, (each.name, state, f"{each.counts.total:,}", f"{each.planned:,}", each.options)))
    Console().print(table)
