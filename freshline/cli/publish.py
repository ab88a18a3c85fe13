"""`freshline publish`: JSON lines in, events out; or an existing catalogue, as an import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    from freshline.importing.columns import Columns
    from freshline.importing.rows import Line
    from freshline.importing.sending import Sender
    from schemas.events import VersionScheme

IMPORT_RATE = 1000.0


class Format(StrEnum):
    """What a file's rows are."""

    JSONL = "jsonl"
    CSV = "csv"


def publish(
    file: Annotated[str, typer.Argument(help="JSON lines, one event each; - for standard input.")],
    *,
    bulk: Annotated[bool, typer.Option("--bulk", help="An import: rows of a catalogue, which delay nothing.")] = False,
    form: Annotated[Format | None, typer.Option("--format", help="Of an import.", show_default="by its name")] = None,
    mapped: Annotated[list[str] | None, typer.Option("--map", help="FIELD=COLUMN, of an import; repeatable.")] = None,
    images_separator: Annotated[str, typer.Option(help="Between the URLs of a row's pictures.")] = " ",
    rate: Annotated[
        float | None,
        typer.Option(min=0, help="Events a second; 0: no limit.", show_default="no limit; of an import 1000"),
    ] = None,
    skip_rows: Annotated[int, typer.Option(min=0, help="Rows that an earlier run has sent.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all rows, send none.")] = False,
) -> None:
    """Publish catalogue events. Bad lines are named and left out, the good ones are sent; then the exit status is 1.

    Example: freshline publish events.jsonl

    Example: freshline publish products.csv --bulk --map title=name --map images=photo_urls
    """
    from freshline.importing.columns import Columns, MapError, read_map
    from freshline.importing.sending import Sender
    from freshline.logs import configure
    from freshline.settings import Settings
    from stream.publisher import Publisher, PublisherSettings

    settings = Settings()
    configure(settings.log_format, settings.log_level, settings.secrets())
    form = form or (Format.CSV if Path(file).suffix.lower() == ".csv" else Format.JSONL)
    if not bulk and (mapped or form is Format.CSV):
        raise Failure("CSV and --map are for imports: add --bulk")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    opened = nullcontext() if dry_run else Publisher(PublisherSettings(settings.kafka(), settings.topics))
    try:
        columns = Columns(read_map(mapped or []), images_separator) if bulk else None
        with opened as publisher, _open(file) as source, _progress(console, _size(file)) as progress:
            task = progress.tasks[0].id
            sender = Sender(
                publisher,
                lambda line, error: progress.console.print(f"line {line}: {error}", markup=False),
                lambda at: progress.update(task, completed=at.bytes_read, sent=at.sent),
                bulk=bulk,
                per_second=(IMPORT_RATE if bulk else 0) if rate is None else rate,
                skipped=skip_rows,
            )
            _send(
                sender,
                _reader(form)(source, columns, settings.versions, skip_rows),
                console,
                settings.kafka_brokers,
            )
    except MapError as error:
        raise Failure(f"{file}: {error}" if not str(error).startswith("--map") else str(error)) from error
    console.print(
        f"{sender.progress.sent} {'would be ' if dry_run else ''}published, {sender.progress.refused} refused"
    )
    if sender.progress.refused:
        raise typer.Exit(1)


def _send(sender: Sender, lines: Iterator[Line], console: Console, brokers: str) -> None:
    """Send all, or say how to go on."""
    from stream.publisher import PublishError

    def stopped() -> str:
        return f"stopped after {sender.progress.safe} rows; go on with --skip-rows {sender.progress.safe}"

    try:
        sender.send(lines)
    except PublishError as error:
        raise Failure(f"Kafka at {brokers}: {error}; {stopped()}") from error
    except (KeyboardInterrupt, SystemError):  # confluent_kafka's flush makes the second of the first
        with suppress(PublishError):
            sender.settle(5.0)
        console.print(stopped())
        raise typer.Exit(130) from None


Reader = Callable[[IO[bytes], "Columns | None", "VersionScheme", int], "Iterator[Line]"]


def _reader(form: Format) -> Reader:
    from freshline.importing.rows import csv_rows, json_lines

    return csv_rows if form is Format.CSV else json_lines


@contextmanager
def _open(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as opened:
            yield opened
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error


def _size(file: str) -> int | None:
    with suppress(OSError):
        return Path(file).stat().st_size or None
    return None


@contextmanager
def _progress(console: Console, size: int | None) -> Iterator[Progress]:
    columns = (
        TextColumn("publishing"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[sent]} events"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task("publishing", total=size, sent=0)
        yield progress
