"""`freshline bench`: figures of this machine, each beside what it should be measured against."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    from freshline.bench.pipeline import PipelinePlan
    from freshline.bench.report import PipelineReport

app = typer.Typer(no_args_is_help=True, help="Measure this machine, on a local stack that is started for it.")


@app.callback()
def _group() -> None:
    """Keeps `pipeline` a command of its own while it is the only one."""


@app.command()
def pipeline(
    pictures: Annotated[int, typer.Option(min=50, help="Events with a new picture, after the warm-up.")] = 5000,
    rounds: Annotated[int, typer.Option(min=1, help="Events without one, for each of those products.")] = 9,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one a core")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw where the time goes into this file (.svg, .png).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how fast workers index, against its stages alone and against plain upserts.

    Example: freshline bench pipeline --plot pipeline.svg
    """
    from encoders.session import available_cores
    from freshline.bench.pipeline import PipelinePlan
    from freshline.bench.report import plot as draw

    report = _measured(PipelinePlan(pictures, rounds, workers or available_cores()))
    if as_json:
        typer.echo(json.dumps(report.figures(), indent=2))
    else:
        Console().print(report.table())
    if plot is not None:
        try:
            draw(report, plot)
        except (OSError, ValueError) as error:
            raise Failure(f"{plot}: {error}") from error


def _measured(plan: PipelinePlan) -> PipelineReport:
    from freshline.bench.pipeline import PipelineBench
    from freshline.bench.together import WorkerEnded
    from freshline.interrupts import Interrupts
    from freshline.logs import configure
    from infra.local.errors import StackError
    from infra.local.stack import LocalStack

    configure("auto", "warning")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it complains of a broker that has only just started
    interrupts = Interrupts()
    with tempfile.TemporaryDirectory(prefix="freshline-bench-") as folder, _progress(plan.events) as progress:
        stack = LocalStack(Path(folder) / "stack")
        task = progress.tasks[0].id
        try:
            stack.up(lambda what: progress.update(task, description=what))
            bench = PipelineBench(plan, stack, Path(folder), lambda what: progress.update(task, description=what))
            return bench.run(lambda events: progress.update(task, completed=events))
        except (StackError, WorkerEnded) as error:
            raise Failure(str(error)) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        finally:
            interrupts.ignore()
            stack.down(delete=True)


@contextmanager
def _progress(events: int) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task("starting", total=events)
        yield progress
