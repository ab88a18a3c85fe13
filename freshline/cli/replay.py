"""`freshline replay`: events of the topic go through the replay lane again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console

from freshline.cli.errors import Failure
from freshline.letters import moment

if TYPE_CHECKING:
    from freshline.cli.replay_view import Screen
    from freshline.replays import Job, Site
    from stream.replaying.run import Pace
    from stream.replaying.selection import Selection

Moment = Annotated[datetime | None, typer.Option(parser=moment, metavar="TIME", help="RFC 3339, or 2h, 3d ago.")]


class Asked(NamedTuple):
    """What the options say."""

    selection: Selection | None
    """None where nothing is chosen: a name is resumed then."""
    dead_letters: bool
    reconcile: bool
    force: bool
    all_views: bool
    name: str | None


def replay(
    *,
    whole: Annotated[bool, typer.Option("--all", help="The whole topic.")] = False,
    since: Moment = None,
    until: Moment = None,
    offsets: Annotated[
        list[str] | None, typer.Option(metavar="PARTITION:FROM-TO", help="Until before TO; repeatable.")
    ] = None,
    product: Annotated[list[str] | None, typer.Option(metavar="ID", help="This product; repeatable.")] = None,
    products: Annotated[Path | None, typer.Option(metavar="FILE", help="These products, one id a line.")] = None,
    category: Annotated[str | None, typer.Option(help="Products of this category.")] = None,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Dead letters of the view that were not sent again before.")
    ] = False,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="What `freshline doctor --reconcile` finds to differ.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Encode again what is encoded already.")] = False,
    all_views: Annotated[
        bool, typer.Option("--all-views", help="For building views too; only the view's own workers are waited for.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="By which it is resumed.", show_default="made up")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Events a second at most.")] = None,
    outstanding: Annotated[
        int, typer.Option(min=1, max=10_000, help="Events sent and not worked off, at most.")
    ] = 10_000,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Fail where no worker of the lane is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the replays that run or stopped.")] = False,
    forget: Annotated[str | None, typer.Option(metavar="NAME", help="Drop a replay that stopped.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Index events of the topic again: safe at any time, and twice. Exits 0 only if the view holds all of them.

    What is chosen is sent through the replay lane (`freshline worker --lane replay`), at most 10,000 events ahead of
    it. Ctrl-C or a kill stops it, --name NAME resumes it. Times are those at which the topic took the events.

    Example: freshline replay --since 2h --category shoes --force --dry-run
    """
    from stream.replaying.run import Pace

    if list_ or forget is not None:
        _keep(forget, as_json=as_json)
        return
    chosen = [whole, since, until, offsets, product, products, category]
    _check(log=any(each not in (None, False, []) for each in chosen), letters=dead_letters, differences=reconcile)
    pace = Pace(outstanding, rate, wait=not no_wait)
    with _connected() as site:
        selection = None
        if any(each not in (None, False, []) for each in chosen):
            ids = [*(product or ()), *_ids(products)]
            view = None if all_views else site.view
            selection = _selection(view=view, force=force, since=since, until=until, offsets=offsets or [],
                                   products=ids, category=category)  # fmt: skip
        site.force, site.all_views = force, all_views
        asked = Asked(selection, dead_letters, reconcile, force, all_views, name)
        _replay(site, asked, pace, dry_run=dry_run, as_json=as_json)


def _check(*, log: bool, letters: bool, differences: bool) -> None:
    if log + letters + differences > 1:
        raise typer.BadParameter("--dead-letters and --reconcile go with no other choice of events")


def _replay(site: Site, asked: Asked, pace: Pace, *, dry_run: bool, as_json: bool) -> None:
    from freshline.cli.replay_view import Screen, print_plan, print_report

    with Screen() as screen:
        site.advance, site.say = screen.advance, screen.say
        with _job(site, asked, dry_run=dry_run) as job:
            workers = site.lane.workers()
            plan = job.plan.figures(workers, pace.per_second)
            figures: dict[str, Any] = {"name": job.name, "view": site.view, "options": job.options, "plan": plan}
            figures |= {"letters_refused": job.refused.figures()["refused"]} if job.refused else {}
            if not as_json:
                print_plan(figures, done=job.done.total)
            if dry_run:
                if as_json:
                    typer.echo(json.dumps(figures, indent=2))
                return
            report = figures | _run(site, job, pace, screen)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        print_report(report)
    if not report["ok"]:
        raise typer.Exit(1)


def _job(site: Site, asked: Asked, *, dry_run: bool) -> AbstractContextManager[Job]:
    from freshline.replays import differences_job, letters_job, log_job

    if asked.dead_letters or asked.reconcile:
        if asked.name:
            raise typer.BadParameter("--name: dead letters and differences are found anew each time")
        return letters_job(site) if asked.dead_letters else differences_job(site)
    if asked.selection is None and asked.name is None:
        raise typer.BadParameter("say what to replay: --all, --since, --product, --dead-letters, … or --name to resume")
    return log_job(site, asked.selection, asked.name, dry_run=dry_run)


def _run(site: Site, job: Job, pace: Pace, screen: Screen) -> dict[str, Any]:
    """The counts and the time of this run; says how to go on if it is cut short."""
    from stream.replaying.tally import Counts

    again = f"freshline replay {f'--name {job.name}' if job.name else job.options}"
    start = time.monotonic()
    counts = job.done

    def progress(now: Counts) -> None:
        nonlocal counts
        counts = now
        screen.show(now.total - job.done.total, job.plan.events)

    try:
        progress(job.done)
        counts = site.run(job.begin(), pace, job.done, progress)
    except KeyboardInterrupt:
        screen.close()
        stopped = f"stopped after {counts.total:,} events; this goes on: {again}"
        Console(stderr=True, soft_wrap=True, highlight=False).print(stopped, markup=False)
        raise typer.Exit(130) from None
    except Exception as error:
        raise Failure(f"{_said(error)}; after {counts.total:,} events; this goes on: {again}") from error
    job.finish()
    refused = job.refused.refused if job.refused else 0
    seconds = round(time.monotonic() - start, 2)
    return {"counts": counts.model_dump(), "seconds": seconds, "ok": counts.ok and not refused}


def _keep(forgotten: str | None, *, as_json: bool) -> None:
    from confluent_kafka import KafkaException

    from freshline.cli.replay_view import print_replays
    from freshline.settings import Settings
    from stream.replaying.cursor import ReplayError, forget, running_replays

    settings = Settings()
    try:
        if forgotten is not None:
            forget(settings.kafka(), settings.topics, forgotten)
        found = running_replays(settings.kafka(), settings.topics)
    except (KafkaException, ReplayError) as error:
        raise Failure(_said(error)) from error
    if as_json:
        typer.echo(json.dumps([each.model_dump(mode="json") for each in found], indent=2))
    else:
        print_replays(found)


def _ids(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"--products {file}: {error}") from error
    if not found:
        raise Failure(f"--products {file}: it names no product")
    return found


def _selection(*, products: list[str], offsets: list[str], **fields: Any) -> Selection:
    from pydantic import ValidationError

    from stream.replaying.selection import Selection, SelectionError, Span

    try:
        spans = tuple(map(Span.read, offsets))
        return Selection(products=tuple(sorted(set(products))), offsets=spans, **fields)
    except ValidationError as error:
        raise Failure(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
    except SelectionError as error:
        raise Failure(str(error)) from error


@contextmanager
def _connected() -> Iterator[Site]:
    from freshline.interrupts import Interrupts
    from freshline.logs import configure
    from freshline.replays import Site
    from freshline.settings import Settings

    settings = Settings()
    configure(settings.log_format, settings.log_level)
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL)  # what it can't mend by itself, the command says
    Interrupts()
    site = Site(settings)
    try:
        with site.exits:
            yield site
    except (typer.Exit, typer.BadParameter, Failure):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except _known() as error:
        raise Failure(_said(error)) from error


def _known() -> tuple[type[Exception], ...]:
    import grpc
    from confluent_kafka import KafkaException
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    from stream.letterbox import LetterboxError
    from stream.publisher import PublishError
    from stream.reconcile.reading import ReadingError
    from stream.replaying.cursor import ReplayError
    from stream.replaying.selection import SelectionError

    ours = (LetterboxError, PublishError, ReadingError, ReplayError, SelectionError)
    return (*ours, KafkaException, ResponseHandlingException, UnexpectedResponse, grpc.RpcError)


def _said(error: BaseException) -> str:
    from confluent_kafka import KafkaException

    return f"Kafka: {error.args[0].str()}" if isinstance(error, KafkaException) else str(error) or type(error).__name__
