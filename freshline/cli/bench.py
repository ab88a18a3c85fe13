"""`freshline bench`: figures of this machine, each beside what it should be measured against."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from freshline.bench.telling import Say, Seen
from freshline.cli.errors import Failure

if TYPE_CHECKING:
    from freshline.bench.encoder_report import EncoderReport
    from freshline.bench.freshness_report import FreshnessReport
    from freshline.bench.hosts_report import HostsReport
    from freshline.bench.imports_report import ImportReport
    from freshline.bench.layouts_report import LayoutsReport
    from freshline.bench.replay_report import ReplayReport
    from freshline.bench.report import PipelineReport
    from freshline.bench.search_report import SearchReport
    from freshline.bench.write_report import WriteReport
    from infra.local.stack import LocalStack

app = typer.Typer(no_args_is_help=True, help="Measure this machine.")


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
    from freshline.bench.pipeline import PipelineBench, PipelinePlan
    from freshline.bench.report import plot as draw

    plan = PipelinePlan(pictures, rounds, workers or available_cores())
    with _bench(plan.events) as bench:
        report = PipelineBench(plan, bench.stack, bench.folder, bench.say).run(bench.seen)
    _print(report, as_json=as_json)
    if plot is not None:
        try:
            draw(report, plot)
        except (OSError, ValueError) as error:
            raise Failure(f"{plot}: {error}") from error


@app.command()
def write(
    products: Annotated[int, typer.Option(min=256, help="Points of the view, each written once in a pass.")] = 2048,
    rounds: Annotated[int, typer.Option(min=1, help="Passes of each way of writing.")] = 9,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure guarded writes beside plain upserts, with timestamps and with counters as versions.

    Example: freshline bench write --rounds 3
    """
    from encoders.bundle import SHIPPED, load_bundle
    from freshline.bench.write import WritePlan, run
    from indexer.store import QdrantSettings, Store

    plan = WritePlan((load_bundle(SHIPPED).manifest.dimension, 512), products, rounds)
    with _bench(plan.passes) as bench:
        env = bench.stack.env()
        store = Store(QdrantSettings(env["FRESHLINE_QDRANT_URL"], grpc_port=int(env["FRESHLINE_QDRANT_GRPC_PORT"])))
        report = store.run_sync(lambda client: run(client, plan, bench.say, bench.seen))
        store.close()
    _print(report, as_json=as_json)


@app.command()
def hosts(
    seconds: Annotated[float, typer.Option(min=1, help="How long one of 20 hosts hangs.")] = 60,
    burst: Annotated[int, typer.Option(min=200, help="Events that the capacity is measured with.")] = 4000,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one a core")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how fresh the products of 19 image hosts stay while the 20th hangs, at half of the machine's capacity.

    Example: freshline bench hosts --seconds 30
    """
    from encoders.session import available_cores
    from freshline.bench.hosts import HostsBench, HostsPlan

    plan = HostsPlan(burst=burst, seconds=seconds, workers=workers or available_cores())
    with _bench(plan.burst) as bench:
        report = HostsBench(plan, bench.stack, bench.folder, bench.say).run(bench.seen)
    _print(report, as_json=as_json)


@app.command("import")
def imports(
    rows: Annotated[int, typer.Option(min=1, help="Of the import, each with a picture.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long live products come in beside it.")] = 60,
    per_second: Annotated[float, typer.Option(min=0.1, help="Live products.")] = 30,
    *,
    replay: Annotated[bool, typer.Option("--replay", help="Import first; beside live products, replay all.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="At the end, build a second view.")] = False,
    pictures: Annotated[Path | None, typer.Option(help="A folder of *.jpg.", show_default="drawn ones")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how fresh live products stay while an existing catalogue is imported, or replayed with --force.

    Example: freshline bench import --rows 100000 --seconds 300 --rebuild
    """
    from freshline.bench.imports import ImportBench, ImportPlan

    folder = pictures.absolute() if pictures else None
    plan = ImportPlan(rows, per_second, seconds, replay=replay, rebuild=rebuild, pictures=folder)
    with _bench(rows + round(seconds * per_second)) as bench:
        report = ImportBench(plan, bench.stack, bench.folder, bench.say).run(bench.seen)
    _print(report, as_json=as_json)


@app.command()
def freshness(
    seconds: Annotated[float, typer.Option(min=1, help="How long the load is steady.")] = 300,
    outage: Annotated[float, typer.Option(min=1, help="Seconds without a worker, under the same load.")] = 120,
    rate: Annotated[float | None, typer.Option(min=1, help="Events/s.", show_default="half of the capacity")] = None,
    burst: Annotated[int, typer.Option(min=200, help="Events that the capacity is measured with.")] = 20_000,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one a core")] = None,
    *,
    products: Annotated[int, typer.Option(min=0, help="In the view before.")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how soon new products can be found at half of the machine's capacity, and after all workers were killed.

    Example: freshline bench freshness --seconds 60 --outage 30
    """
    from encoders.session import available_cores
    from freshline.bench.freshness import FreshnessBench, FreshnessPlan

    workers = workers or available_cores()
    plan = FreshnessPlan(seconds, outage, rate, burst=burst, workers=workers, products=products)
    with _bench(round(plan.seconds + plan.outage)) as bench:
        report = FreshnessBench(plan, bench.stack, bench.folder, bench.say).run(bench.seen)
    _print(report, as_json=as_json)


@app.command()
def search(
    products: Annotated[int, typer.Option(min=100, help="Of one to six pictures each.")] = 20_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long each rate is held.")] = 20,
    first: Annotated[float, typer.Option(min=1, help="Searches/s to begin with.")] = 20,
    limit_ms: Annotated[
        float, typer.Option(min=1, help="That 99 of 100 answers may take; half of it without encoding a picture.")
    ] = 200,
    burst: Annotated[int, typer.Option(min=200, help="Events that the worker's capacity is measured with.")] = 3000,
    *,
    beside: Annotated[bool, typer.Option(help="At the end, a worker writes as fast as it can as well.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the highest rate that the search service answers in time, and what it does at twice that rate.

    Example: freshline bench search --products 100000
    """
    from freshline.bench.search import SearchBench, SearchPlan

    with _bench(products) as bench:
        plan = SearchPlan(products, seconds, first, limit_ms / 1000, beside=beside, burst=burst)
        report = SearchBench(plan, bench.stack, bench.folder, bench.say).run(bench.seen)
    _print(report, as_json=as_json)


@app.command()
def layouts(
    products: Annotated[int, typer.Option(min=1000, help="Of one to six pictures each.")] = 100_000,
    queries: Annotated[int, typer.Option(min=20, help="Photos to search by.")] = 500,
    apart: Annotated[float, typer.Option(min=0, help="A product's pictures from their middle, as lengths.")] = 0.6,
    way: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.", show_default="all")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare ways to keep a product's pictures in Qdrant: recall, time to search and to build, memory.

    Example: freshline bench layouts --products 20000 --way multivector --way "pooled, rescored"
    """
    from freshline.bench.layouts import LayoutsBench, LayoutsPlan
    from freshline.bench.ways import WAYS

    if unknown := [each for each in way or [] if each not in WAYS]:
        raise Failure(f"--way {unknown[0]}: one of {', '.join(WAYS)}")
    plan = LayoutsPlan(products, queries, apart=apart, ways=way or list(WAYS))
    with _bench(len(plan.ways)) as bench:
        report = LayoutsBench(plan, bench.stack, bench.folder, bench.say).run(bench.seen)
    _print(report, as_json=as_json)


@app.command()
def replay(
    events: Annotated[int, typer.Option(min=2000, help="Changes of price, all to be replayed.")] = 1_000_000,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one a core")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a replay of a whole topic of events without new pictures, beside plain upserts.

    Example: freshline bench replay --events 20000
    """
    from encoders.session import available_cores
    from freshline.bench.replay import ReplayBench, ReplayPlan

    plan = ReplayPlan(events, workers or available_cores())
    with _bench(plan.events) as bench:
        report = ReplayBench(plan, bench.stack, bench.folder, bench.say).run(bench.seen)
    _print(report, as_json=as_json)


@app.command()
def encoder(
    model: Annotated[list[str] | None, typer.Option(help="timm/NAME, open_clip/NAME or freshline/tower.")] = None,
    pictures: Annotated[
        int, typer.Option(min=32, help="Pictures to draw; a round encodes them once, or as often as takes a second.")
    ] = 128,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of all ways.")] = 7,
    soak: Annotated[int, typer.Option(min=0, help="Pictures to encode while memory is watched.")] = 0,
    peer: Annotated[Path | None, typer.Option(help="The Python of an environment with fastembed.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the encoder beside other ways to run the same models, with random weights.

    Example: freshline bench encoder --model timm/resnet18 --soak 200000 --peer peer/bin/python
    """
    from encoders.backbones import BackboneError
    from encoders.bundle import SHIPPED
    from encoders.session import available_cores
    from freshline.bench.encoder import BATCH, EncoderPlan, WrongVectors, machine, run
    from freshline.bench.encoder_report import EncoderReport
    from freshline.bench.peer import PeerError
    from freshline.bench.soak import SoakEnded
    from freshline.bench.soak import soak as watch

    plan = EncoderPlan(model or ["freshline/tower", "timm/resnet18"], pictures, rounds, peer, available_cores())
    try:
        with tempfile.TemporaryDirectory(prefix="freshline-bench-") as folder, _progress(plan.passes) as progress:
            bar = progress.tasks[0].id
            cases = run(
                plan,
                Path(folder),
                lambda what: progress.update(bar, description=what),
                lambda: progress.advance(bar),
            )
            progress.reset(bar, description="memory", total=soak)
            memory = watch(SHIPPED, soak, plan.cores, lambda n: progress.update(bar, completed=n)) if soak else None
    except (BackboneError, PeerError, SoakEnded, WrongVectors) as error:
        raise Failure(str(error)) from error
    _print(EncoderReport(machine(plan.cores), BATCH, rounds, cases, memory), as_json=as_json)


Report: TypeAlias = (
    "PipelineReport | WriteReport | HostsReport | FreshnessReport | EncoderReport | ImportReport"
    " | LayoutsReport | ReplayReport | SearchReport"
)


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.figures(), indent=2))
    else:
        Console().print(report.table())


class Bench(NamedTuple):
    """What a benchmark runs on, and whom it tells how far it is."""

    stack: LocalStack
    folder: Path
    say: Say
    seen: Seen


@contextmanager
def _bench(total: int) -> Iterator[Bench]:
    """A local stack for as long as the benchmark lasts, and a bar of `total` steps."""
    from freshline.bench.errors import BenchError
    from freshline.interrupts import Interrupts
    from freshline.logs import configure
    from infra.local.errors import StackError
    from infra.local.stack import LocalStack

    configure("auto", "warning")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it complains of a broker that has only just started
    interrupts = Interrupts()
    with tempfile.TemporaryDirectory(prefix="freshline-bench-") as folder, _progress(total) as progress:
        stack = LocalStack(Path(folder) / "stack")
        task = progress.tasks[0].id

        def say(what: str) -> None:
            progress.update(task, description=what)

        try:
            stack.up(say)
            yield Bench(stack, Path(folder), say, lambda done: progress.update(task, completed=done))
        except (StackError, BenchError) as error:
            raise Failure(str(error)) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        finally:
            interrupts.ignore()
            stack.down(delete=True)


@contextmanager
def _progress(total: int) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task("starting", total=total)
        yield progress
