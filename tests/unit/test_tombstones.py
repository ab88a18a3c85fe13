"""The sweep, in Qdrant's local mode; `tests/integration/test_tombstones.py` is the same on a server."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest
from qdrant_client import QdrantClient
from structlog.testing import capture_logs

from indexer import tombstones
from indexer.points import Point
from indexer.store import QdrantSettings, Store
from indexer.tombstones import sweep
from indexer.writer import write
from schemas.payloads import point_id
from stream.sweeper import Sweeper
from tests.factories import NOW, VIEW, point
from tests.harness import eventually

DAY = timedelta(days=1)


def aged(product_id: str, days: int, *, deleted: bool = True, version: int = 1) -> Point:
    made = point(product_id, version, deleted=deleted)
    return Point(made.payload.model_copy(update={"indexed_at": NOW - days * DAY}), made.vectors, 0)


def put(store: Store, *points: Point) -> None:
    store.run_sync(lambda client: write(client, VIEW, points))


def held(store: Store) -> set[str]:
    records, _ = store.run_sync(lambda client: client.scroll(VIEW, limit=1000))
    return {(record.payload or {})["product_id"] for record in records}


def test_old_tombstones_go_and_all_else_stays(store: Store) -> None:
    put(store, aged("old", 22), aged("young", 20), aged("listed", 400, deleted=False))

    assert store.run_sync(lambda client: sweep(client, VIEW, NOW - 21 * DAY)) == 1
    assert held(store) == {"young", "listed"}


def test_any_number_goes_in_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones.sweep_some, "__defaults__", (7,))
    put(store, *(aged(f"p{number}", 30) for number in range(20)))

    assert store.run_sync(lambda client: sweep(client, VIEW, NOW)) == 20
    assert held(store) == set()


def test_a_point_that_is_created_again_in_the_meantime_is_not_removed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, aged("back", 30), aged("gone", 30))

    def list_again_first(client: QdrantClient) -> int:
        remove = client.delete

        def late(*arguments: object, **options: object) -> object:
            write(client, VIEW, [aged("back", 0, deleted=False, version=2)])
            return remove(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(client, "delete", late)
        return sweep(client, VIEW, NOW - DAY)

    assert store.run_sync(list_again_first) == 1
    assert held(store) == {"back"}
    assert store.run_sync(lambda client: client.retrieve(VIEW, [point_id("gone")])) == []


async def test_the_worker_s_sweeper_removes_what_is_past_the_retention(store: Store) -> None:
    put(store, aged("old", 1), aged("listed", 1, deleted=False))

    assert await Sweeper(store, VIEW, timedelta(0)).sweep() == 1
    assert held(store) == {"listed"}


async def test_the_sweeper_goes_on_until_it_is_cancelled(store: Store) -> None:
    put(store, aged("old", 1))
    running = asyncio.create_task(Sweeper(store, VIEW, timedelta(0), interval=timedelta(milliseconds=1)).run())
    await asyncio.to_thread(eventually, lambda: not held(store))
    put(store, aged("later", 1))
    await asyncio.to_thread(eventually, lambda: not held(store))

    assert not running.done()
    running.cancel()


async def test_the_sweeper_waits_for_a_qdrant_that_is_away() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        store = Store(QdrantSettings(url=f"http://127.0.0.1:{port}", grpc_port=port))
        sweeping = asyncio.create_task(Sweeper(store, VIEW, timedelta(0)).sweep())
        with capture_logs() as logs:
            await asyncio.to_thread(eventually, lambda: logs)

        assert logs[0]["event"] == "Qdrant is away, sweeping later"
        assert not sweeping.done()
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        store.close()
