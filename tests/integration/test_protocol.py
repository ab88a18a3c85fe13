"""The random schedules of `tests/unit/test_protocol.py` on the real Qdrant: the guard is the server's to keep."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator

import pytest
import structlog

from indexer.store import QdrantSettings, Store
from tests.protocol_world import make_views, play

OPERATIONS = 600


@pytest.fixture
def server(stack_env: dict[str, str]) -> Iterator[Store]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    grpc_port = int(stack_env["FRESHLINE_QDRANT_GRPC_PORT"])
    store = Store(QdrantSettings(url=stack_env["FRESHLINE_QDRANT_URL"], grpc_port=grpc_port, threads=1))
    yield store
    store.close()
    structlog.reset_defaults()


def test_whatever_happens_each_view_ends_at_the_newest_events(server: Store) -> None:
    first = random.SystemRandom().randrange(10**6) * 1000
    operations: Counter[str] = Counter()
    server.run_sync(make_views)
    seed = first
    while operations.total() < OPERATIONS:
        found = server.run_sync(lambda client, seed=seed: play(client, seed, operations))  # type: ignore[misc]
        assert not found, f"seed {seed}: {found}"
        seed += 1
    print(f"{operations.total()} operations in {seed - first} schedules from seed {first}: 0 divergences")
