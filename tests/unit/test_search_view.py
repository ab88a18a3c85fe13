"""Following the alias: switched, dropped, of another model, and while Qdrant is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException

from indexer.collections import ViewError, ensure_view, point_alias, view_name
from indexer.store import LOCAL, QdrantSettings, Store
from search.metrics import SearchMetrics
from search.model import Encoding, Encodings, Model
from search.problems import Problem
from search.settings import SearchSettings
from search.view import ServingView, ViewMoved
from tests.colours import manifest

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

T = TypeVar("T")
SPACE, OTHER_SPACE, UNKNOWN = "0123456789ab", "ffffffffffff", "eeeeeeeeeeee"
FIRST, SECOND, OTHER = (
    view_name("products", SPACE, 1),
    view_name("products", SPACE, 2),
    view_name("products", OTHER_SPACE, 3),
)


class FlakyStore(Store):
    """A store whose server can be away."""

    away = False

    async def run(self, operation: Callable[[QdrantClient], T]) -> T:
        if self.away:
            raise ResponseHandlingException(ConnectionError("refused"))
        return await super().run(operation)


@pytest.fixture
def store() -> Iterator[FlakyStore]:
    store = FlakyStore(QdrantSettings(url=LOCAL))
    serve(store, FIRST)
    yield store
    store.close()


@pytest.fixture
async def view(store: FlakyStore) -> AsyncIterator[ServingView]:
    async with encodings() as known:
        view = ServingView(store, alias="products", pinned=None, encodings=known)
        await view.refresh()
        yield view


@asynccontextmanager
async def encodings() -> AsyncIterator[Encodings]:
    metrics = SearchMetrics(CollectorRegistry())

    def load(space: str) -> Encoding:
        if space == UNKNOWN:
            raise ViewError(f"no bundle is of the space {space}")
        model = Model(manifest(space), lambda pixels: np.ones((len(pixels), 3), np.float32))
        return Encoding(model, SearchSettings(), metrics, threads)

    with ThreadPoolExecutor(1) as threads:
        known = Encodings(load(SPACE), load)
        async with known:
            yield known


def serve(store: Store, name: str) -> None:
    store.run_sync(lambda client: ensure_view(client, name, 3, []))
    store.run_sync(lambda client: point_alias(client, "products", name))


def count(client: QdrantClient, name: str) -> int:
    return client.count(name).count


async def test_a_switch_is_followed_in_the_background(store: FlakyStore, view: ServingView) -> None:
    async with view.following(0.01):
        assert await view.run(count) == (FIRST, 0)
        serve(store, SECOND)
        for _ in range(500):
            if view.name == SECOND:
                break
            await asyncio.sleep(0.01)
    assert await view.run(count) == (SECOND, 0)


async def test_a_dropped_collection_sends_the_query_to_the_new_one(store: FlakyStore, view: ServingView) -> None:
    serve(store, SECOND)
    store.run_sync(lambda client: client.delete_collection(FIRST))
    assert await view.run(count) == (SECOND, 0)


async def test_a_dropped_collection_without_a_successor(store: FlakyStore, view: ServingView) -> None:
    store.run_sync(lambda client: client.delete_collection(FIRST))
    with pytest.raises(Problem) as caught:
        await view.run(count)
    assert caught.value.status == 503
    assert view.problem is not None


async def test_a_switch_to_another_model_is_followed_with_that_model(store: FlakyStore, view: ServingView) -> None:
    before = view.require()
    serve(store, OTHER)
    assert view.require() == before
    await view.refresh()
    after = view.require()
    assert (after.name, after.encoding.space) == (OTHER, OTHER_SPACE)
    assert await after.encoding.batcher.encode(np.zeros((4, 4, 3), np.uint8)) is not None
    assert await view.ask(before, count) == 0  # whoever began with the old view ends with it

    serve(store, FIRST)
    await view.refresh()
    assert view.require() == before  # the way back needs no loading


async def test_what_was_encoded_for_a_dropped_view_is_never_asked_of_another(
    store: FlakyStore, view: ServingView
) -> None:
    before = view.require()
    serve(store, OTHER)
    store.run_sync(lambda client: client.delete_collection(FIRST))
    with pytest.raises(ViewMoved):
        await view.ask(before, count)
    assert view.require().encoding.space == OTHER_SPACE


async def test_without_the_model_of_the_new_view_the_old_one_goes_on(store: FlakyStore, view: ServingView) -> None:
    serve(store, view_name("products", UNKNOWN, 4))
    await view.refresh()
    assert (view.name, await view.run(count)) == (FIRST, (FIRST, 0))
    assert view.problem is not None
    assert UNKNOWN in view.problem

    store.run_sync(lambda client: client.delete_collection(FIRST))
    with pytest.raises(Problem, match=UNKNOWN):
        await view.run(count)
    assert view.name is None


async def test_while_qdrant_is_away_the_view_stays_but_is_not_ready(store: FlakyStore, view: ServingView) -> None:
    store.away = True
    with pytest.raises(Problem) as caught:
        await view.run(count)
    assert caught.value.status == 503
    await view.refresh()
    assert (view.name, view.problem) == (FIRST, "Qdrant does not answer")
    store.away = False
    await view.refresh()
    assert view.problem is None
    assert await view.run(count) == (FIRST, 0)


async def test_our_own_mistakes_are_not_hidden(view: ServingView) -> None:
    def mistaken(client: QdrantClient, name: str) -> int:
        raise KeyError(name)

    with pytest.raises(KeyError):
        await view.run(mistaken)
