"""The sweep on a real Qdrant server, whose index and delete by filter local mode does not have."""

from __future__ import annotations

from datetime import timedelta

from indexer.collections import view_problems
from indexer.points import Point
from indexer.tombstones import sweep
from indexer.writer import write
from tests.factories import NOW, point
from tests.harness import Installation


def aged(product_id: str, days: int, *, deleted: bool) -> Point:
    made = point(product_id, deleted=deleted, images="")
    return Point(made.payload.model_copy(update={"indexed_at": NOW - timedelta(days=days)}), [], 0)


def test_old_tombstones_go_in_steps_and_all_else_stays(shop: Installation) -> None:
    view = shop.view
    gone = [aged(f"gone-{number}", 22, deleted=True) for number in range(2500)]
    kept = [aged("young", 20, deleted=True), aged("listed", 400, deleted=False)]
    shop.store.run_sync(lambda client: write(client, view, [*gone, *kept]))

    swept = shop.store.run_sync(lambda client: sweep(client, view, NOW - timedelta(days=21)))

    assert swept == 2500
    assert set(shop.payloads()) == {"young", "listed"}


def test_setup_gives_an_older_view_the_index_that_the_sweep_needs(shop: Installation) -> None:
    view, dimension = shop.view, 128
    shop.store.run_sync(lambda client: client.delete_payload_index(view, "indexed_at", wait=True))
    before = shop.store.run_sync(lambda client: view_problems(client, view, dimension, []))

    shop.setup()

    assert "the payload index of indexed_at is missing, not datetime" in before
    assert "indexed_at" in shop.indexes()
    assert shop.store.run_sync(lambda client: view_problems(client, view, dimension, [])) == []
