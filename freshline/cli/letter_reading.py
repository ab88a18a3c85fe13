"""Reading dead letters for a command: chosen, counted, the unreadable ones named."""

from __future__ import annotations

import heapq
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from freshline.cli.errors import Failure
from freshline.letters import Selection, shown
from freshline.settings import Settings
from stream.letterbox import Filed, Letterbox, Unreadable

NAMED = 20
"""Unreadable letters that are named each; the rest are counted."""


class Reading:
    """The letters of one command."""

    def __init__(self, settings: Settings, box: Letterbox) -> None:
        self.settings = settings
        self.box = box
        self.incomplete = False
        self._unreadable: list[Unreadable] = []
        self._unreadable_count = 0

    def letters(self, selection: Selection) -> Iterator[Filed]:
        """Those that are meant, with a progress bar on a terminal."""
        with _progress() as progress:
            task = progress.add_task("reading", total=1.0)
            for entry in self.box.read(lambda done: progress.update(task, completed=done)):
                if isinstance(entry, Unreadable):
                    self._unreadable_count += 1
                    self._unreadable += [entry] if len(self._unreadable) < NAMED else []
                elif selection.takes(entry.letter):
                    yield entry

    def unreadable_as_json(self) -> dict[str, Any]:
        """How many are no letters, and the first of them."""
        return {
            "count": self._unreadable_count,
            "examples": [
                {
                    "key": entry.key.decode(errors="replace"),
                    "partition": entry.partition,
                    "offset": entry.offset,
                    "problem": entry.problem,
                }
                for entry in self._unreadable
            ],
        }

    def finish(self) -> None:
        """Name what could not be read, on stderr.

        Raises:
            typer.Exit: with 1, if there was any, or anything else was `incomplete`.
        """
        for entry in self._unreadable:
            key = shown(entry.key.decode(errors="replace"))
            note(f"unreadable: {key} (partition {entry.partition}, offset {entry.offset}): {entry.problem}")
        if self._unreadable_count:
            note(f"{self._unreadable_count} unreadable, passed over")
        if self._unreadable_count or self.incomplete:
            raise typer.Exit(1)


def newest(letters: Iterable[Filed], limit: int, counts: Counter[str]) -> list[Filed]:
    """The newest of them, newest first; `counts` is told the reason of every one."""

    def counted() -> Iterator[Filed]:
        for entry in letters:
            counts[entry.letter.reason.value] += 1
            yield entry

    return heapq.nlargest(limit, counted(), key=lambda entry: (entry.letter.time, entry.key))


@contextmanager
def written(file: str) -> Iterator[IO[str]]:
    """Where to write lines: standard output for -, else a file that appears when it is whole."""
    if file == "-":
        yield sys.stdout
        return
    path = Path(file)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as lines:
            yield lines
        part.replace(path)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def note(message: str) -> None:
    """A line on stderr, where it does not mix with what is piped."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(message, markup=False)


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress
