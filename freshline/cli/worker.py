"""`freshline worker`: events in, points out."""

from __future__ import annotations

import asyncio
import gc
import signal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    from freshline.settings import Settings
    from stream.metrics import Watcher


class Lane(StrEnum):
    """Which topic a worker consumes."""

    LIVE = "live"
    RETRY = "retry"
    REPLAY = "replay"


def worker(lane: Annotated[Lane, typer.Option(help="Which topic to consume.")] = Lane.LIVE) -> None:
    """Index catalogue events until stopped by SIGTERM or Ctrl-C; then finish what is in flight, commit, and leave.

    Each lane is a process of its own: live for what the catalogue publishes, retry for events parked because an image
    host is ill, replay for events sent again. /metrics, /healthz and /readyz are at FRESHLINE_METRICS_PORT.

    Example: FRESHLINE_METRICS_PORT=9100 freshline worker --lane live
    """
    import uvloop

    from encoders.bundle import BundleError
    from encoders.session import EncoderError
    from freshline.logs import configure
    from freshline.settings import Settings
    from indexer.collections import ViewError
    from stream.worker import WorkerFailed

    settings = Settings()
    mask = configure(settings.log_format, settings.log_level, settings.secrets())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings, lane))
    except (BundleError, EncoderError, ViewError, WorkerFailed) as error:
        raise Failure(mask.text(str(error))) from error


async def run(settings: Settings, lane: Lane, watcher: Watcher | None = None) -> None:
    """Work until stopped; the watcher is told of every event."""
    from prometheus_client import CollectorRegistry

    from freshline.compose import build_worker
    from freshline.process import introduce
    from freshline.status import serve_status

    registry = CollectorRegistry()
    introduce(registry)
    async with build_worker(settings, lane.value, registry, watcher=watcher) as worker:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        if settings.metrics_port:
            serve_status(settings.host, settings.metrics_port, registry, worker.waits_for)
        # What is loaded by now stays for good, and what is in flight is no garbage: by default, looking through both
        # again and again takes a third of the time of an event without a picture.
        gc.freeze()
        gc.set_threshold(50_000, 10, 10)
        await worker.run()
