"""`freshline rollout`: from one model, or one way of indexing, to another, without shoppers' noticing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from freshline.cli.errors import Failure
from freshline.cli.errors import report as complain

if TYPE_CHECKING:
    from encoders.session import ImageEncoder
    from freshline.rollout.comparison import Compared
    from freshline.rollout.gate import Check
    from freshline.rollout.progress import ViewProgress
    from freshline.rollout.site import Site

app = typer.Typer(no_args_is_help=True, help="Build a second view beside the serving one, judge it, switch to it.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Pairs = Annotated[
    Path | None,
    typer.Argument(help="CSV: query (a picture) or text, product. Without: products by their own pictures."),
]
Sample = Annotated[int, typer.Option(min=10, help="Without pairs: how many products to ask for.")]
Margin = Annotated[float, typer.Option(min=0, max=1, help="By which Recall@10 and MRR may be lower.")]
Overlap = Annotated[float, typer.Option(min=0, max=1, help="Share of the first ten that both must find, at least.")]
P99 = Annotated[float, typer.Option(min=1, help="Milliseconds of a search, at most.")]
Missing = Annotated[float, typer.Option(min=0, max=1, help="Share of the products that may be missing.")]
Stack = Annotated[Path, typer.Option(envvar="FRESHLINE_STACK_DATA", help="The local stack's folder, if it is one.")]
DEFAULT_STACK = Path(".stack")


@app.command()
def start(
    bundle: Annotated[Path, typer.Argument(help="Of the new view; `shipped` is the one that comes along.")],
    *,
    workers: Annotated[bool, typer.Option(help="Start its workers, on the local stack.")] = True,
    stack: Stack = DEFAULT_STACK,
) -> None:
    """Make a view for a bundle, and say how its workers are started; the local stack's are started here. Repeatable.

    With the serving view's bundle, all is indexed anew: for other FRESHLINE_INDEXED_ATTRIBUTES, or after a bug.

    Example: freshline rollout start /models/shoes-2
    """
    from encoders.bundle import SHIPPED, load_bundle
    from freshline.cli.rollout_view import say, say_started
    from freshline.rollout import steps
    from freshline.rollout.local_workers import local_workers

    with _site() as site:
        folder = SHIPPED if str(bundle) == "shipped" and not bundle.exists() else bundle
        step = steps.start(site, load_bundle(folder))
        say(f"view: {step.view} ({'created' if step.changed else 'there already'}); serving: {step.serving}")
        own = local_workers(site.settings, stack, step.view) if workers else None
        say_started(step.view, step.serving, folder.absolute(), own.start(folder) if own else None, own)


@app.command()
def status(
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Until the view that is built is fresh and whole.")] = False,
    missing: Missing = 0.001,
    as_json: Json = False,
) -> None:
    """Show how far each view is; with --wait, return when the one that is being built could be switched to.

    Example: freshline rollout status --wait
    """
    from freshline.cli.rollout_view import print_status, waiting
    from freshline.rollout.gate import Limits, failures, judge_freshness
    from freshline.rollout.progress import looking

    with _site() as site, looking(site) as look:
        views = look()
        if wait:
            building, limits = site.building(), Limits(missing=missing)
            with waiting() as show:
                while problems := failures(judge_freshness(*_pair(views, building), _goal(site), limits)):
                    show(views[building], problems)
                    views = look()
        if as_json:
            typer.echo(json.dumps([view.figures() for view in views.values()], indent=2))
        else:
            print_status(views.values())


@app.command()
def evaluate(
    pairs: Pairs = None,
    *,
    sample: Sample = 200,
    margin: Margin = 0.01,
    min_overlap: Overlap = 0.0,
    max_p99_ms: P99 = 200.0,
    as_json: Json = False,
) -> None:
    """Ask the serving view and the one that is being built the same; exits 1 if the new one is worse than allowed.

    Example: freshline rollout evaluate pairs.csv --margin 0.02
    """
    from freshline.rollout.gate import Limits, judge_quality

    with _site() as site:
        compared = _compare(site, site.building(), pairs, sample)
    checks = judge_quality(compared, Limits(margin, min_overlap, max_p99_ms))
    _end(checks, compared, as_json=as_json, refused="the gate is shut")


@app.command()
def switch(
    pairs: Pairs = None,
    *,
    sample: Sample = 200,
    margin: Margin = 0.01,
    min_overlap: Overlap = 0.0,
    max_p99_ms: P99 = 200.0,
    missing: Missing = 0.001,
    as_json: Json = False,
) -> None:
    """Let shoppers see the view that was built: only if it is as good, fresh and whole. The old one is kept.

    Search instances follow within seconds; they must know the new bundle (FRESHLINE_BUNDLES).

    Example: freshline rollout switch pairs.csv
    """
    from freshline.cli.rollout_view import say
    from freshline.rollout import steps
    from freshline.rollout.gate import Limits, judge_freshness, judge_quality
    from freshline.rollout.progress import looking

    limits = Limits(margin, min_overlap, max_p99_ms, missing)
    with _site() as site:
        now = site.standing()
        if now.previous is not None and not now.building:
            report = f"{now.serving} serves already; {now.previous} is kept: finish, or rollback"
            say(json.dumps({"ok": True, "serving": now.serving}) if as_json else report)
            return
        view = site.building()
        compared = _compare(site, view, pairs, sample)
        with looking(site) as look:
            freshness = judge_freshness(*_pair(look(), view), _goal(site), limits)
        _end(judge_quality(compared, limits) + freshness, compared, as_json=as_json, refused=f"{view} does not serve")
        step = steps.switch(site, view)
    if not as_json:
        say(f"{step.serving} serves; keep the workers of {now.serving} running until `finish`, for a `rollback`")


@app.command()
def rollback(
    stale: Annotated[
        bool, typer.Option("--stale", help="Even if it was not fed: what is missing comes back late.")
    ] = False,
) -> None:
    """Let shoppers see the view from before the switch again; the other one is then being built again.

    Example: freshline rollout rollback
    """
    from freshline.cli.rollout_view import say
    from freshline.rollout import steps
    from freshline.rollout.gate import failures, judge_way_back
    from freshline.rollout.progress import looking

    with _site() as site:
        previous = site.standing().previous
        if previous is not None and not stale:
            with looking(site) as look:
                problems = failures(judge_way_back(look()[previous], _goal(site)))
            if problems:
                raise Failure(f"{previous} was not fed: {'; '.join(problems)}; --stale goes back all the same")
        step = steps.rollback(site)
    say(f"{step.serving} serves{' again' if step.changed else ''}; {step.view} is being built: switch, or abort")


@app.command()
def finish(stack: Stack = DEFAULT_STACK) -> None:
    """Drop the view from before the switch, once its workers are stopped. There is no way back then. Repeatable.

    Example: freshline rollout finish
    """
    from freshline.cli.rollout_view import say
    from freshline.rollout import steps

    with _site() as site:
        previous = site.standing().previous
        _stop_own(site, stack, previous)
        step = steps.finish(site)
    say(f"{step.view} is gone" if step.changed else "no view is kept from before: nothing to do")


@app.command()
def abort(
    view: Annotated[str | None, typer.Option(help="Which, if more than one is being built.")] = None,
    stack: Stack = DEFAULT_STACK,
) -> None:
    """Drop the view that is being built, once its workers are stopped. Repeatable.

    Example: freshline rollout abort
    """
    from freshline.cli.rollout_view import say
    from freshline.rollout import steps

    with _site() as site:
        building = site.standing().building
        _stop_own(site, stack, view or (building[0] if len(building) == 1 else None))
        step = steps.abort(site, view)
    say(f"{step.view} is gone" if step.changed else "no view is being built: nothing to do")


def _stop_own(site: Site, stack: Path, view: str | None) -> None:
    from freshline.rollout.local_workers import local_workers

    own = local_workers(site.settings, stack, view) if view is not None else None
    if own is not None:
        own.stop()


def _compare(site: Site, view: str, pairs: Path | None, sample: int) -> Compared:
    from freshline.cli.rollout_view import asking
    from freshline.rollout.comparison import compare
    from freshline.rollout.queries import own_pictures
    from search.labelled import read_pairs

    serving = site.serving()

    async def run(folder: Path) -> Compared:
        queries = read_pairs(pairs) if pairs else await own_pictures(site, serving, sample, folder)
        with asking(2 * len(queries)) as done:
            return await compare(site.store, _encoder(site, view), _encoder(site, serving), queries, done)

    with TemporaryDirectory(prefix="freshline-") as folder:
        return asyncio.run(run(Path(folder)))


def _encoder(site: Site, view: str) -> tuple[str, ImageEncoder]:
    from freshline.parts import bundle_of, load_encoder
    from indexer.collections import space_of

    return view, load_encoder(site.settings, bundle=bundle_of(site.settings, space_of(view)))


def _pair(views: dict[str, ViewProgress], building: str) -> tuple[ViewProgress, ViewProgress]:
    return views[building], next(view for view in views.values() if view.role == "serving")


def _goal(site: Site) -> float:
    return site.settings.freshness_goal_seconds


def _end(checks: list[Check], compared: Compared, *, as_json: bool, refused: str) -> None:
    from freshline.cli.rollout_view import print_judgement
    from freshline.rollout.gate import failures

    problems = failures(checks)
    if as_json:
        figures = compared.figures() | {"checks": [vars(check) for check in checks], "ok": not problems}
        typer.echo(json.dumps(figures, indent=2))
    else:
        print_judgement(compared, checks)
    if problems:
        complain(f"{refused}: {'; '.join(problems)}")
        raise typer.Exit(1)


@contextmanager
def _site() -> Iterator[Site]:
    from confluent_kafka import KafkaException

    from encoders.bundle import BundleError
    from encoders.session import EncoderError
    from freshline.logs import configure
    from freshline.rollout.site import RolloutError, Site
    from freshline.settings import Settings
    from indexer.collections import ViewError
    from indexer.store import is_outage
    from search.evaluation import EvaluationError
    from search.labelled import LabelError

    settings = Settings()
    configure(settings.log_format, "error", settings.secrets())
    try:
        with Site(settings) as site:
            yield site
    except KafkaException as error:
        raise Failure(f"Kafka at {settings.kafka_brokers}: {error.args[0].str()}") from error
    except (RolloutError, BundleError, EncoderError, ViewError, EvaluationError, LabelError) as error:
        raise Failure(str(error)) from error
    except Exception as error:
        if is_outage(error):
            raise Failure(f"Qdrant at {settings.qdrant_url} can't be reached") from error
        raise
