"""The shop at work: worker, search service and page in one process, on one event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from freshline.compose import build_worker
from freshline.demo.ledger import Ledger
from freshline.demo.lister import PublishingLister
from freshline.parts import load_encoder, make_view, opened_store
from freshline.serving import build_service
from freshline.settings import Settings
from stream.publisher import Publisher, PublisherSettings
from stream.worker import Worker

HOST = "127.0.0.1"
_FINISHING_SECONDS = 2


@dataclass(frozen=True)
class Shop:
    """What the story is told with."""

    url: str
    settings: Settings
    publisher: Publisher
    worker: Worker
    ledger: Ledger
    parts: tuple[asyncio.Task[None], ...]
    """The running parts; none of them ends by itself unless something is wrong."""


@asynccontextmanager
async def opened_shop(settings: Settings, listener: socket.socket) -> AsyncIterator[Shop]:
    """The shop, its parts starting; they are stopped in good order at the end.

    Raises:
        BundleError, EncoderError, ViewError: with what to do about it.
    """
    assert settings.image_root is not None
    encoder = await asyncio.to_thread(load_encoder, settings, threads=1)  # as the worker's would be
    ledger, registry = Ledger(), CollectorRegistry()
    with opened_store(settings) as store, Publisher(PublisherSettings(settings.kafka(), settings.topics)) as publisher:
        await store.run(lambda client: make_view(client, settings, encoder.bundle.manifest))
        lister = PublishingLister(publisher, settings.image_root)
        service = build_service(settings, registry, store=store, encoder=encoder, lister=lister)
        composed = build_worker(settings, "live", registry, store=store, encoder=encoder, watcher=ledger)
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        with service as app:
            async with composed as worker, _running(worker, app, listener) as parts:
                yield Shop(url, settings, publisher, worker, ledger, parts)


@asynccontextmanager
async def _running(
    worker: Worker, app: FastAPI, listener: socket.socket
) -> AsyncIterator[tuple[asyncio.Task[None], ...]]:
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=_FINISHING_SECONDS)
    server = _Server(config)
    parts = asyncio.create_task(worker.run()), asyncio.create_task(server.serve([listener]))
    try:
        yield parts
    finally:
        worker.stop()
        server.should_exit = True
        await asyncio.gather(*parts, return_exceptions=True)  # whoever watches them tells what went wrong


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the demo, which has more to stop than this."""
        yield
