"""An import beside live products, on real parts: diverted by the view that serves, worked off in place by another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from freshline.parts import load_encoder
from indexer.collections import ensure_view, point_alias, view_name
from tests.chaos.groups import lag
from tests.harness import Installation, draw, eventually, listing

ROWS = 60


@pytest.fixture
def catalogue(shop: Installation, tmp_path: Path) -> Path:
    """A table of products, two of which are no good."""
    picture = draw(tmp_path / "import.jpg", 1)
    rows = [f"i{number},Mug {number},{picture},blue" for number in range(ROWS)]
    file = tmp_path / "catalogue.csv"
    file.write_text("\n".join(["sku,name,photos,colour", *rows, f",No id,{picture},", f"bad,,{picture},"]))
    return file


@pytest.fixture
def second(shop: Installation) -> Iterator[str]:
    """Another view of the same model, that nobody sees yet."""
    encoder = load_encoder(shop.settings, threads=1)
    name = view_name(shop.settings.alias, encoder.space, 2)
    shop.store.run_sync(lambda client: ensure_view(client, name, encoder.dimension, []))
    yield name
    shop.store.run_sync(lambda client: client.delete_collection(name))


MAP = ("--map", "product_id=sku", "--map", "title=name", "--map", "images=photos", "--map", "attributes.colour=colour")


def publish(shop: Installation, file: Path, *options: str) -> str:
    done = shop.run("publish", str(file), "--bulk", *MAP, *options)
    assert done.returncode == 1, done.stderr
    return done.stderr


def indexed(shop: Installation, view: str | None = None) -> int:
    """Products of the import in a view."""
    view = view or shop.view
    return shop.store.run_sync(lambda client: client.count(view).count)


def replayed(shop: Installation, view: str) -> bool:
    return lag(shop, shop.settings.topics.replay, shop.settings.group(view, "replay")) == 0


def test_live_products_come_first_and_the_import_by_the_replay_lane(
    shop: Installation, catalogue: Path, tmp_path: Path
) -> None:
    assert f"{ROWS} would be published, 2 refused" in publish(shop, catalogue, "--dry-run")
    assert sum(high for _, high in shop.watermarks().values()) == 0
    said = publish(shop, catalogue)
    assert f"line {ROWS + 2}: product_id (column sku): Field required" in said
    assert f"{ROWS} published, 2 refused" in said

    with shop.worker() as live:
        shop.publish(listing("live", [draw(tmp_path / "live.jpg", 2)]), listing("i7", [draw(tmp_path / "7.jpg", 7)]))
        eventually(shop.caught_up, what="the live lane")
        assert set(shop.payloads()) == {"live", "i7"}
        assert live.metric("freshline_events_total", outcome="diverted") == ROWS
        assert live.metric("freshline_freshness_seconds_count", lane="live") == 2
        with shop.worker("replay") as replay:
            eventually(lambda: replayed(shop, shop.view), what="the replay lane")
            assert replay.metric("freshline_freshness_seconds_count", lane="replay") == ROWS - 1
            assert replay.metric("freshline_events_total", outcome="stale") == 1

    payloads = shop.payloads()
    assert len(payloads) == ROWS + 1
    assert payloads["i3"].attributes == {"colour": "blue"}
    assert payloads["i7"].title == "Product i7"
    assert shop.dead_letters() == []


def test_a_view_that_is_built_works_an_import_off_in_place_and_diverts_the_next_once_it_serves(
    shop: Installation, catalogue: Path, second: str
) -> None:
    publish(shop, catalogue)
    with shop.worker(FRESHLINE_VIEW=second, FRESHLINE_YIELD_SECONDS="0") as building:
        eventually(lambda: building.metric("freshline_freshness_seconds_count", lane="replay") == ROWS)
        assert indexed(shop, second) == ROWS
        assert sum(high for _, high in shop.watermarks(shop.settings.topics.replay).values()) == 0

        shop.store.run_sync(lambda client: point_alias(client, shop.settings.alias, second))
        eventually(lambda: second in _said(building.log), what="the worker to learn of it")
        publish(shop, catalogue)
        eventually(lambda: building.metric("freshline_events_total", outcome="diverted") == ROWS)

    with shop.worker("replay", FRESHLINE_VIEW=second):
        eventually(lambda: replayed(shop, second), what="the replay lane")
    assert indexed(shop, second) == ROWS


def _said(log: Path) -> str:
    """What a worker took note of last, of who serves."""
    lines = [line for line in log.read_text().splitlines() if '"serving"' in line]
    return lines[-1].partition('"before"')[0] if lines else ""


def test_replays_wait_while_the_live_lane_has_no_worker_and_go_on_with_it(
    shop: Installation, catalogue: Path, tmp_path: Path
) -> None:
    publish(shop, catalogue)
    with shop.worker() as live:
        eventually(shop.caught_up, what="the diversion")
        live.stop()
    shop.publish(*(listing(f"live{number}", [draw(tmp_path / "l.jpg", 3)]) for number in range(20)))

    with shop.worker("replay", FRESHLINE_YIELD_SECONDS="0.001") as replay:
        eventually(lambda: replay.metric("freshline_yielding") == 1, what="the replay worker to yield")
        eventually(replay.ready, what="a worker that is ready although it yields")
        before = indexed(shop)
        assert replay.metric("freshline_in_flight_limit") == 0
        with shop.worker():
            eventually(shop.caught_up, what="the live lane")
            eventually(lambda: replayed(shop, shop.view), what="the replay lane")

    assert before < ROWS
    assert indexed(shop) == ROWS + 20
