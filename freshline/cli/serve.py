"""`freshline serve`: the search service."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from freshline.settings import Settings


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to bind to.", show_default="FRESHLINE_HOST, 127.0.0.1")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one; the log says which.")] = 8080,
) -> None:
    """Answer searches over HTTP until stopped by SIGTERM or Ctrl-C; requests in progress are finished.

    Example: freshline serve --port 8080
    """
    import uvicorn

    from encoders.bundle import BundleError
    from encoders.session import EncoderError
    from freshline.logs import configure
    from freshline.settings import Settings

    settings = Settings()
    configure(settings.log_format, settings.log_level)
    try:
        with _service(settings) as app:
            config = uvicorn.Config(
                app,
                host=host or settings.host,
                port=port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=int(settings.drain_seconds),
            )
            _run(uvicorn.Server(config))
    except (BundleError, EncoderError) as error:
        raise Failure(str(error)) from error


def _run(server: uvicorn.Server) -> None:
    # uvicorn stops gracefully, then raises the signal again: without this the process would die of it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    server.run()
    if not server.started:
        raise Failure("the service could not start; the log above says why")


@contextmanager
def _service(settings: Settings) -> Iterator[FastAPI]:
    """The service, with a store that is closed after it."""
    from prometheus_client import REGISTRY

    from encoders.bundle import load_bundle
    from encoders.session import ImageEncoder
    from indexer.store import Store
    from search.service import create_app
    from search.settings import SearchSettings

    bundle = load_bundle(settings.bundle_path)
    encoder = ImageEncoder(bundle, device=settings.device)
    store = Store(settings.qdrant())
    try:
        yield create_app(
            store=store,
            manifest=bundle.manifest,
            encode=encoder.encode,
            settings=SearchSettings(
                settings.alias,
                settings.view,
                max_image_bytes=settings.image_max_bytes,
                image_root=settings.image_root,
            ),
            registry=REGISTRY,
        )
    finally:
        store.close()
