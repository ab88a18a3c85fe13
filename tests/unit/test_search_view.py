"""Following the alias: switched, dropped, of another model, and while Qdrant is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException

from indexer.collections import ensure_view, point_alias, view_name
from indexer.store import LOCAL, QdrantSettings, Store
from search.problems import Problem
from search.view import ServingView

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

T = TypeVar("T")
SPACE, OTHER_SPACE = "0123456789ab", "ffffffffffff"
FIRST, SECOND = view_name("products", SPACE, 1), view_name("products", SPACE, 2)


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
async def view(store: FlakyStore) -> ServingView:
    view = ServingView(store, alias="products", pinned=None, space=SPACE)
    await view.refresh()
    return view


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


async def test_a_switch_to_another_model_is_refused(store: FlakyStore, view: ServingView) -> None:
    serve(store, view_name("products", OTHER_SPACE, 1))
    await view.refresh()
    with pytest.raises(Problem, match=SPACE):
        await view.run(count)


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
