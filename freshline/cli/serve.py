"""`freshline serve`: the search service."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    import uvicorn


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
    from prometheus_client import CollectorRegistry

    from encoders.bundle import BundleError
    from encoders.session import EncoderError
    from freshline.logs import configure
    from freshline.process import introduce
    from freshline.serving import build_service
    from freshline.settings import Settings
    from search.keys import KeyFileError

    settings = Settings()
    mask = configure(settings.log_format, settings.log_level, settings.secrets())
    registry = CollectorRegistry()
    introduce(registry)
    try:
        with build_service(settings, registry) as app:
            config = uvicorn.Config(
                app,
                host=host or settings.host,
                port=port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=int(settings.drain_seconds),
            )
            _run(uvicorn.Server(config))
    except (BundleError, EncoderError, KeyFileError) as error:
        raise Failure(mask.text(str(error))) from error


def _run(server: uvicorn.Server) -> None:
    # uvicorn stops gracefully, then raises the signal again: without this the process would die of it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    server.run()
    if not server.started:
        raise Failure("the service could not start; the log above says why")
