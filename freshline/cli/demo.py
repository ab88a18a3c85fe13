"""`freshline demo`: a small shop from catalogue to photo search, on this machine."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    from freshline.interrupts import Interrupts

HOST = "127.0.0.1"
DEFAULT_PORT = 8080


class StackName(StrEnum):
    """What the demo stands on."""

    EMBEDDED = "embedded"
    LOCAL = "local"


TITLES = {
    "embedded": "broker, worker, index and search service in one process",
    "local": "real Kafka and Qdrant, worker and search service in one process",
}


def demo(
    *,
    stack: Annotated[StackName, typer.Option(help="embedded: Python alone; local: real Kafka and Qdrant.")] = (
        StackName.EMBEDDED
    ),
    catalog: Annotated[
        Path | None,
        typer.Option(help="Your own photos: a folder of pictures, or a CSV with image and title.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.", show_default="8080, else a free one"),
    ] = None,
    leave: Annotated[bool, typer.Option("--exit", help="End after the story instead of staying up.")] = False,
) -> None:
    """Index a catalogue, find a product by a shopper's photo, change and withdraw it; then stay up with the page.

    Exits 0 only if all was as it should be. Nothing is left running.

    Example: freshline demo --catalog ~/photos
    """
    from freshline.interrupts import Interrupted, Interrupts

    interrupts, console = Interrupts(), Console(highlight=False, soft_wrap=True)
    try:
        with _listening(port, console) as listener:
            problems = _run(stack.value, catalog, listener, stay=not leave, interrupts=interrupts)
    except (KeyboardInterrupt, Interrupted):
        console.print("Ended early. Nothing is left running.")
        raise typer.Exit(130) from None
    if not leave:
        console.print("Goodbye. Nothing is left running.")
    if problems:
        raise typer.Exit(1)


def _run(stack: str, catalog: Path | None, listener: socket.socket, *, stay: bool, interrupts: Interrupts) -> list[str]:
    from encoders.bundle import BundleError
    from encoders.session import EncoderError
    from freshline.demo.catalogue import CatalogueError
    from freshline.demo.run import Demo, Plan
    from freshline.demo.screen import Screen
    from indexer.collections import ViewError
    from infra.local.errors import StackError
    from stream.admin import TopicError
    from stream.publisher import PublishError
    from stream.worker import WorkerFailed

    _quiet()
    screen = Screen()
    screen.title("Freshline demo", TITLES[stack])
    try:
        return Demo(Plan(stack, catalog, listener, stay), screen, interrupts).run()
    except (
        BundleError,
        CatalogueError,
        EncoderError,
        OSError,
        PublishError,
        StackError,
        TopicError,
        ViewError,
        WorkerFailed,
    ) as error:
        raise Failure(str(error)) from error


def _quiet() -> None:
    """Keep the story's lines together: only what a person must know comes between them."""
    from freshline.logs import configure

    configure("auto", "warning")
    logging.getLogger("stream.pipeline").setLevel(logging.ERROR)  # the story names dead letters itself
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it does not mend by itself ends the worker
    warnings.simplefilter("ignore")  # for developers, who see them in the tests


@contextmanager
def _listening(port: int | None, console: Console) -> Iterator[socket.socket]:
    """A socket of the page's port, taken before anything else is done."""
    try:
        listener = socket.create_server((HOST, DEFAULT_PORT if port is None else port))
    except OSError as error:
        if port is not None:
            raise Failure(f"--port {port}: {os.strerror(error.errno or 0)}") from error
        listener = socket.create_server((HOST, 0))
        console.print(f"Port {DEFAULT_PORT} is taken, so the page is on {listener.getsockname()[1]}.")
    with listener:
        yield listener
