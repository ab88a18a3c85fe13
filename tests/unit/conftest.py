"""What several unit tests need: an empty view in Qdrant's local mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from indexer.collections import ensure_view
from indexer.store import QdrantSettings, Store
from tests.factories import DIMENSION, VIEW


@pytest.fixture
def store() -> Iterator[Store]:
    """A Qdrant of this test's own, with an empty view; payload indexes do nothing in local mode, and it says so."""
    opened = Store(QdrantSettings(url=":memory:"))
    opened.run_sync(lambda client: ensure_view(client, VIEW, DIMENSION, []))
    yield opened
    opened.close()
