"""`freshline monitor`: how late the index is, seen from outside."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from freshline.cli.errors import Failure, report

if TYPE_CHECKING:
    from freshline.settings import Settings
    from stream.monitor.state import LaneState, OpsState


def monitor(
    once: Annotated[bool, typer.Option("--once", help="Look once, print what is found, and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: print it as JSON.")] = False,
) -> None:
    """Watch how far each lane of each view is behind, from Kafka's offsets and record times, until SIGTERM or Ctrl-C.

    It needs no worker to be alive, and sends a canary product through every view each minute. The page /ops,
    /ops/state.json, /metrics, /healthz and /readyz are at FRESHLINE_MONITOR_PORT.
    With --once it exits 1 if anything could not be found out.

    Example: freshline monitor --once
    """
    from encoders.bundle import BundleError
    from encoders.session import EncoderError
    from freshline.canary.pictures import CanaryError
    from freshline.logs import configure
    from freshline.settings import Settings
    from stream.monitor.positions import MonitorError

    if as_json and not once:
        raise typer.BadParameter("--json goes with --once")
    settings = Settings()
    mask = configure(settings.log_format, "error" if once else settings.log_level, settings.secrets())
    try:
        state = asyncio.run(_once(settings) if once else _run(settings))
    except (MonitorError, CanaryError, BundleError, EncoderError) as error:
        raise Failure(mask.text(str(error))) from error
    if state is None:
        return
    if as_json:
        typer.echo(state.model_dump_json(indent=2))
    else:
        _print(state)
    for problem in state.problems:
        report(problem)
    if state.problems:
        raise typer.Exit(1)


async def _once(settings: Settings) -> OpsState:
    from prometheus_client import CollectorRegistry

    from freshline.monitoring import opened_monitor

    with opened_monitor(settings, CollectorRegistry()) as monitor:
        return await monitor.once()


async def _run(settings: Settings) -> None:
    from prometheus_client import CollectorRegistry

    from freshline.canary.compose import opened_canary
    from freshline.monitoring import opened_monitor, serve_monitor
    from freshline.process import introduce

    registry = CollectorRegistry()
    introduce(registry)
    with (
        opened_canary(settings, registry) as canary,
        opened_monitor(settings, registry, canaries=canary.states) as monitor,
    ):
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, monitor.stop)
        if settings.monitor_port:
            try:
                serve_monitor(settings, registry, monitor, canary.image)
            except OSError as error:
                where = f"{settings.host}:{settings.monitor_port}"
                raise Failure(f"FRESHLINE_MONITOR_PORT: {where}: {error.strerror}") from error
        singing = asyncio.create_task(canary.run())
        try:
            await monitor.run()
        finally:
            singing.cancel()
            await asyncio.gather(singing, return_exceptions=True)


def _print(state: OpsState) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    names = ("lane", "workers", "oldest pending", "lag", "in /s", "out /s", "caught up in")
    for view in state.views:
        points = "" if view.points is None else f", {view.points} points"
        console.print(Text(f"{view.name}, {'serving' if view.serving else 'building'}{points}"))
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in names:
            table.add_column(name, justify="left" if name == "lane" else "right")
        for lane in view.lanes:
            table.add_row(*_row(lane))
        console.print(table)
    letters = sum(count.waiting for count in state.dead_letters)
    if letters:
        console.print(Text(f"{letters} dead letters wait: freshline dead-letters list"))


def _row(lane: LaneState) -> tuple[str, ...]:
    return (
        lane.lane,
        str(lane.members),
        _span(lane.oldest_pending_seconds),
        str(lane.lag_events),
        f"{lane.arrival_rate:.1f}",
        f"{lane.work_rate:.1f}",
        "never" if lane.catch_up_seconds is None else _span(lane.catch_up_seconds),
    )


def _span(seconds: float) -> str:
    """A time that can be read at a glance."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
