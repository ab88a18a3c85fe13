"""What several unit tests need: an empty view in Qdrant's local mode, and a log that costs little."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import structlog

from indexer.collections import ensure_view
from indexer.store import QdrantSettings, Store
from tests.factories import DIMENSION, VIEW
from tests.line import Line

# Where logging is not set up, structlog draws each exception with the variables of all frames: seconds of work a time.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture
def store() -> Iterator[Store]:
    """A Qdrant of this test's own, with an empty view; payload indexes do nothing in local mode, and it says so."""
    opened = Store(QdrantSettings(url=":memory:"))
    opened.run_sync(lambda client: ensure_view(client, VIEW, DIMENSION, []))
    yield opened
    opened.close()


@pytest.fixture
def quiet() -> Iterator[None]:
    """No log: it would be most of the work."""
    before = structlog.get_config()
    structlog.configure(**before | {"wrapper_class": structlog.make_filtering_bound_logger(logging.CRITICAL)})
    yield
    structlog.configure(**before)


@pytest.fixture
async def line(store: Store) -> AsyncIterator[Line]:
    """A live lane over this view."""
    async with AsyncExitStack() as exits:
        yield await Line(store).open(exits)
