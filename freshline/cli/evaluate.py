"""`freshline evaluate`: how well a bundle finds what people say it should find."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from freshline.cli.errors import Failure
from freshline.cli.errors import report as complain

if TYPE_CHECKING:
    from freshline.evaluation.report import EvaluationReport
    from freshline.evaluation.run import Where
    from freshline.settings import Settings
    from search.evaluation import Evaluation
    from search.labelled import Query

SHIPPED = "shipped"


def evaluate(
    bundle: Annotated[Path, typer.Argument(help=f"The bundle's folder; `{SHIPPED}` is the one that comes along.")],
    pairs: Annotated[Path, typer.Argument(help="CSV: query (a picture) or text, product, perhaps category.")],
    *,
    gallery: Annotated[Path | None, typer.Option(help="CSV of all products: image, product, ….")] = None,
    view: Annotated[str | None, typer.Option(help="Ask this view (or alias) instead of a gallery's.")] = None,
    against: Annotated[Path | None, typer.Option(help="Another bundle, to compare with.")] = None,
    against_view: Annotated[str | None, typer.Option(help="The view of that one.")] = None,
    server: Annotated[bool, typer.Option("--server", help="Index the gallery in FRESHLINE_QDRANT_URL.")] = False,
    min_recall: Annotated[float | None, typer.Option(min=0, max=1, help="Exit 1 below this Recall@10.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Draw hits and misses into this file (.png).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, down to each query.")] = False,
) -> None:
    """Measure Recall@1, Recall@10 and MRR on labelled pairs, through the real index.

    Example: freshline evaluate shipped pairs.csv --gallery products.csv --sheet sheet.png --min-recall 0.9
    """
    from freshline.evaluation.report import EvaluationReport
    from freshline.evaluation.run import Where
    from freshline.settings import Settings
    from search.labelled import LabelError, read_gallery, read_pairs

    _check_options(gallery, view, against, against_view)
    try:
        products = read_gallery(gallery) if gallery else None
        queries, settings = read_pairs(pairs), Settings()
    except LabelError as error:
        raise Failure(str(error)) from error
    first = _run(settings, bundle, queries, Where(products, view, server))
    second = _run(settings, against, queries, Where(products, against_view, server)) if against else None
    _print(EvaluationReport(first, second), as_json=as_json)
    if sheet is not None:
        _draw(settings, first, sheet, own=products is not None)
    recall = first.overall().recall_at_10.value
    if min_recall is not None and recall < min_recall:
        complain(f"Recall@10 is {recall:.3f}, below {min_recall:g}")
        raise typer.Exit(1)


def _print(report: EvaluationReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.figures(), indent=2, ensure_ascii=False))
    else:
        Console(highlight=False).print(report.table())


def _check_options(gallery: Path | None, view: str | None, against: Path | None, against_view: str | None) -> None:
    if (gallery is None) == (view is None):
        raise Failure("give either --gallery or --view")
    if against is None and against_view is not None:
        raise Failure("--against-view needs --against")
    if against is not None and view is not None and against_view is None:
        raise Failure("--against needs --against-view where --view is given: each bundle has a view of its own")
    if gallery is not None and against_view is not None:
        raise Failure("--against-view goes with --view: with --gallery a view is made for each bundle")


def _run(settings: Settings, bundle: Path, queries: list[Query], where: Where) -> Evaluation:
    from encoders.bundle import SHIPPED as OWN
    from encoders.bundle import BundleError
    from encoders.session import EncoderError
    from freshline.evaluation.run import run
    from freshline.logs import configure
    from indexer.collections import ViewError
    from search.evaluation import EvaluationError
    from search.labelled import LabelError

    configure("auto", "error")
    warnings.filterwarnings("ignore", "Local mode performs exact")  # which is no worse
    folder = OWN if str(bundle) == SHIPPED and not bundle.exists() else bundle
    totals = {"indexing": len(where.gallery or ()), "asking": len(queries)}
    try:
        with _progress(bundle, totals) as report:
            return asyncio.run(run(settings, folder, queries, where, report))
    except (BundleError, EncoderError, EvaluationError, LabelError, ViewError) as error:
        raise Failure(str(error)) from error


@contextmanager
def _progress(bundle: Path, totals: dict[str, int]) -> Iterator[Callable[[str, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks = {
            name: progress.add_task(f"{bundle.name}: {name}", total=total) for name, total in totals.items() if total
        }
        yield lambda name, count: progress.advance(tasks[name], count)


def _draw(settings: Settings, evaluation: Evaluation, file: Path, *, own: bool) -> None:
    from freshline.evaluation.pictures import fetching
    from freshline.evaluation.sheet import contact_sheet, save

    async def draw() -> None:
        async with fetching(settings, everywhere=own) as fetch:
            save(await contact_sheet(evaluation, fetch), file)

    try:
        asyncio.run(draw())
    except (OSError, ValueError) as error:
        raise Failure(f"{file}: {error}") from error
