"""`freshline dead-letters`: what was given up on, why, and sending it again."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from freshline.cli.errors import Failure
from freshline.letters import Selection, moment
from schemas.dead_letters import Reason

if TYPE_CHECKING:
    from freshline.cli.letter_reading import Reading

app = typer.Typer(no_args_is_help=True, help="See what was given up on, why, and send it again.")

Reasons = Annotated[list[Reason] | None, typer.Option("--reason", metavar="REASON", help="Only this; repeatable.")]
Product = Annotated[str | None, typer.Option(help="Only of this product.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Given up on since then: RFC 3339, or 2h, 3d."),
]
Until = Annotated[datetime | None, typer.Option(parser=moment, metavar="TIME", help="Given up on before.")]
Host = Annotated[str | None, typer.Option(help="Only with a picture on this host.")]
View = Annotated[str | None, typer.Option(help="Only of this view.")]
Lane = Annotated[str | None, typer.Option(help="Only of this lane: live, retry, replay.")]
Redriven = Annotated[
    bool | None, typer.Option("--redriven/--not-redriven", help="Only those that were, or were not, sent again.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(
    *,
    reason: Reasons = None,
    product: Product = None,
    since: Since = None,
    until: Until = None,
    host: Host = None,
    view: View = None,
    lane: Lane = None,
    redriven: Redriven = None,
    limit: Annotated[int, typer.Option(min=0, help="How many to show; all are counted.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the newest letters, and how many there are for each reason.

    Example: freshline dead-letters list --reason image_missing --since 2d
    """
    from freshline.cli.letter_reading import newest
    from freshline.cli.letter_view import print_list, summary

    selection = Selection(frozenset(reason or ()), product, since, until, host, view, lane, redriven)
    with _reading() as reading:
        counts: Counter[str] = Counter()
        shown = newest(reading.letters(selection), limit, counts)
        if as_json:
            typer.echo(
                json.dumps(
                    {
                        "total": counts.total(),
                        "counts": dict(counts.most_common()),
                        "letters": [summary(entry) for entry in shown],
                        "unreadable": reading.unreadable_as_json(),
                    },
                    indent=2,
                )
            )
        else:
            print_list(shown, counts)


@app.command()
def show(
    letter: Annotated[
        str, typer.Argument(metavar="KEY|PRODUCT", help="A letter's key, its last two parts (3/42), or a product's id.")
    ],
    as_json: Json = False,
) -> None:
    """Show all of a letter, the product's newest one, and what to do about it.

    Example: freshline dead-letters show products-0123456789ab-1/catalog.events/3/42
    """
    from freshline.cli.letter_reading import newest
    from freshline.cli.letter_view import details, is_meant, print_letter, summary

    with _reading() as reading:
        counts: Counter[str] = Counter()
        found = newest((entry for entry in reading.letters(Selection()) if is_meant(entry, letter)), 20, counts)
        if not found:
            raise Failure(f"no dead letter has the key or the product {letter!r}")
        if as_json:
            others = [summary(entry) for entry in found[1:]]
            typer.echo(json.dumps(details(found[0]) | {"others": others}, indent=2))
        else:
            print_letter(found[0], found[1:], counts.total())


@app.command()
def export(
    file: Annotated[str, typer.Argument(help="JSON lines, one letter each; - for standard output.")],
    *,
    reason: Reasons = None,
    product: Product = None,
    since: Since = None,
    until: Until = None,
    host: Host = None,
    view: View = None,
    lane: Lane = None,
    redriven: Redriven = None,
) -> None:
    """Write letters as they are (schemas/dead_letter.schema.json). A file appears only when all of it is written.

    Example: freshline dead-letters export invalid.jsonl --reason invalid_event --reason invalid_json
    """
    from freshline.cli.letter_reading import note, written

    selection = Selection(frozenset(reason or ()), product, since, until, host, view, lane, redriven)
    with _reading() as reading, written(file) as lines:
        count = 0
        for entry in reading.letters(selection):
            lines.write(entry.letter.model_dump_json() + "\n")
            count += 1
        note(f"{count} letters written")


@app.command()
def redrive(
    *,
    reason: Reasons = None,
    product: Product = None,
    since: Since = None,
    until: Until = None,
    host: Host = None,
    view: View = None,
    lane: Lane = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were sent again before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    as_json: Json = False,
) -> None:
    """Send the letters' events again, by way of the replay lane, and mark the letters. Safe to repeat.

    A redriven event that fails again is a letter again, unmarked, with one attempt more.

    Example: freshline dead-letters redrive --reason image_unavailable --host images.example --dry-run
    """
    from freshline.cli.letter_view import print_redrive
    from freshline.redriving import redrive_all

    selection = Selection(frozenset(reason or ()), product, since, until, host, view, lane)
    with _reading() as reading:
        report = redrive_all(reading.settings, reading.box, reading.letters(selection), again=again, dry_run=dry_run)
        if as_json:
            typer.echo(json.dumps(report.figures() | {"unreadable": reading.unreadable_as_json()}, indent=2))
        else:
            print_redrive(report)
        reading.incomplete = report.refused > 0


@contextmanager
def _reading() -> Iterator[Reading]:
    """The letters of the settings' installation; exits with 1 at the end if not all was read and done."""
    from confluent_kafka import KafkaException

    from freshline.cli.letter_reading import Reading
    from freshline.logs import configure
    from freshline.settings import Settings
    from stream.letterbox import Letterbox, LetterboxError
    from stream.publisher import PublishError

    settings = Settings()
    configure(settings.log_format, settings.log_level, settings.secrets())
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL)  # what it can't mend by itself, the command says
    try:
        with Letterbox(settings.kafka(), settings.topics.dead_letters) as box:
            reading = Reading(settings, box)
            yield reading
    except (LetterboxError, PublishError) as error:
        raise Failure(str(error)) from error
    except KafkaException as error:
        raise Failure(f"Kafka at {settings.kafka_brokers}: {error.args[0].str()}") from error
    reading.finish()
