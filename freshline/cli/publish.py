"""`freshline publish`: JSON lines in, events out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from freshline.cli.errors import Failure


def publish(
    file: Annotated[str, typer.Argument(help="JSON lines, one event each; - for standard input.")],
) -> None:
    """Publish catalogue events. Bad lines are named and left out, the good ones are sent; then the exit status is 1.

    Example: freshline publish catalogue.jsonl
    """
    from freshline.logs import configure
    from freshline.settings import Settings
    from schemas.events import InvalidEvent, check_version, parse_event
    from stream.publisher import Publisher, PublishError, PublisherSettings

    settings = Settings()
    configure(settings.log_format, settings.log_level, settings.secrets())
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    publisher = Publisher(PublisherSettings(settings.kafka(), settings.topics))
    sent = bad = 0
    with _lines(file) as lines, _progress(console) as progress:
        task = progress.add_task("publishing", total=None)
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                event = parse_event(line)
                check_version(event, settings.versions, datetime.now(UTC))
                publisher.publish(event)
            except InvalidEvent as error:
                bad += 1
                progress.console.print(f"line {number}: {error}", markup=False)
            else:
                sent += 1
            progress.update(task, completed=sent)
        try:
            publisher.flush()
        except PublishError as error:
            raise Failure(f"Kafka at {settings.kafka_brokers}: {error}") from error
    console.print(f"{sent} published, {bad} refused")
    if bad:
        raise typer.Exit(1)


@contextmanager
def _lines(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as lines:
            yield lines
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed} events"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
