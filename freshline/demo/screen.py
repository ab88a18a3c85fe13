"""How the demo looks in a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from freshline.interrupts import Interrupted
from search.models import Hit

WIDTH = 100
_LEFT_OUT_SHOWN = 5


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read the output has left: end in good order, as at Ctrl-C."""
        try:
            super().on_broken_pipe()
        except SystemExit as error:
            raise Interrupted from error


class Screen:
    """Prints lines that stay, and bars that don't."""

    def __init__(self) -> None:
        self._console = _Console(highlight=False)
        self._console.width = min(self._console.width, WIDTH)

    def title(self, text: str, remark: str) -> None:
        """What this is."""
        self._console.print(Text.assemble((text, "bold"), "  ", (remark, "dim")))

    def done(self, what: str, seconds: float | None = None) -> None:
        """A step that worked."""
        took = "" if seconds is None else f"  {seconds:.1f} s"
        self._console.print(Text.assemble(("✓ ", "green"), what, (took, "dim")))

    def chapter(self, text: str, remark: str = "") -> None:
        """A part of the story."""
        self._console.print()
        self._console.print(Text.assemble((text, "bold cyan"), (f"  {remark}" if remark else "", "dim")))

    def line(self, text: str, style: str = "") -> None:
        """A remark."""
        self._console.print(Text(text, style))

    def left_out(self, problems: list[str]) -> None:
        """Rows of a catalogue that could not be used."""
        for problem in problems[:_LEFT_OUT_SHOWN]:
            self._console.print(Text(f"  left out: {problem}", "yellow"), soft_wrap=True)
        if len(problems) > _LEFT_OUT_SHOWN:
            self._console.print(Text(f"  and {len(problems) - _LEFT_OUT_SHOWN} more", "yellow"))

    def hits(self, results: list[Hit], hero: str) -> None:
        """Products, most similar first; the story's own is marked."""
        table = Table.grid("", "", "", "", padding=(0, 2))
        table.columns[2].justify = "right"
        for hit in results:
            own = hit.product_id == hero
            cells = (f"  {hit.score:.3f}", hit.title or "", price(hit), "◄ this one" if own else "")
            table.add_row(*(Text(cell, "green" if own else "") for cell in cells))
        self._console.print(table)

    def verdict(self, problems: list[str], remark: str) -> None:
        """Whether all was as it should be, and what to make of the figures."""
        self._console.print(Text(f"  {remark}", "dim"))
        self._console.print()
        for problem in problems:
            self._console.print(Text.assemble(("✗ ", "bold red"), problem), soft_wrap=True)
        if not problems:
            self.done("All of this was checked, and is as it should be.")

    def page(self, url: str, street_photo: Path) -> None:
        """Where to go on."""
        self._console.print()
        self._console.print(Text.assemble(("The page  ", "bold"), (url, "bold underline")))
        self._console.print(Text(f"  drop a photo there, such as {street_photo}"), soft_wrap=True)
        self._console.print(Text("  or list a product and see how soon it is found. Ctrl-C ends all of this."))

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar while something goes on; it is given how much is done."""
        if not self._console.is_terminal:
            yield lambda _: None
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)

    @contextmanager
    def waiting(self, what: str) -> Iterator[Callable[[str], None]]:
        """A spinner while something goes on; it is given what."""
        if not self._console.is_terminal:
            yield lambda _: None
            return
        with self._console.status(what) as status:
            yield status.update


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """So many by now."""
        return time.monotonic() - self._started


def price(hit: Hit) -> str:
    """A product's price for people, empty where it has none."""
    return "" if hit.price is None else f"{hit.price:.2f} {hit.currency or ''}".rstrip()
