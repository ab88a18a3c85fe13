"""A real live worker with a part that hangs: `python -m tests.faults.stuck_worker encoder | loop | consumer`."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import uvloop
from prometheus_client import CollectorRegistry

from encoders.batcher import Pixels, Vectors
from encoders.bundle import load_bundle
from encoders.session import ImageEncoder
from freshline.compose import build_worker
from freshline.logs import configure
from freshline.settings import Settings
from freshline.status import serve_status
from stream.worker import WorkerFailed


class HangingEncoder(ImageEncoder):
    """Never returns from its first batch."""

    def encode(self, pixels: Pixels) -> Vectors:
        hang_in_the_encoder()
        raise AssertionError("unreachable")


def hang_in_the_encoder() -> None:
    threading.Event().wait()


def hang_in_the_loop() -> None:
    time.sleep(3600)


async def hang_in_the_consumer(**_: object) -> None:
    await asyncio.Event().wait()


async def run(what: str, settings: Settings) -> None:
    encoder = HangingEncoder(load_bundle(settings.bundle_path), threads=1) if what == "encoder" else None
    registry = CollectorRegistry()
    async with build_worker(settings, "live", registry, encoder=encoder) as worker:
        serve_status(settings.host, settings.metrics_port, registry, worker.waits_for)
        working = asyncio.create_task(worker.run())
        if what != "encoder":
            await worker.assigned()
        if what == "consumer":
            worker._consumer._app.consumer._getmany = hang_in_the_consumer  # type: ignore[attr-defined]
        if what == "loop":
            asyncio.get_running_loop().call_soon(hang_in_the_loop)
        await working


if __name__ == "__main__":
    configure("json", "info")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(sys.argv[1], Settings()))
    except WorkerFailed as error:
        sys.exit(f"error: {error}")
