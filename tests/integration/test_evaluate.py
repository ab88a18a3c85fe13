"""`freshline evaluate` on a real Qdrant: a gallery's own view, and a view that a worker has filled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.labelled import read_gallery
from tests.bundles import tiny_bundle
from tests.harness import Installation, event, eventually, freshline, listing
from tests.ring import RANKS, draw_ring


@pytest.fixture
def shop(installation: dict[str, str], tmp_path: Path) -> Iterator[Installation]:
    draw_ring(tmp_path)
    tiny_bundle(tmp_path / "bundle")
    opened = Installation(installation | {"FRESHLINE_BUNDLE": str(tmp_path / "bundle")}, tmp_path)
    opened.setup()
    yield opened
    opened.close()


def evaluate(shop: Installation, *options: str) -> Any:
    files = [str(shop.folder / name) for name in ("bundle", "pairs.csv")]
    done = shop.run("evaluate", *files, "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def collections(shop: Installation) -> set[str]:
    return {each.name for each in shop.store.run_sync(lambda client: client.get_collections()).collections}


def test_a_gallery_is_indexed_on_the_server_and_leaves_nothing_there(shop: Installation) -> None:
    before = collections(shop)
    figures = evaluate(shop, "--gallery", str(shop.folder / "gallery.csv"), "--server")

    assert [answer["rank"] for answer in figures["answers"]] == RANKS
    assert figures["view"] not in before
    assert collections(shop) == before


def test_a_view_is_evaluated_as_it_is(shop: Installation) -> None:
    products = read_gallery(shop.folder / "gallery.csv")
    shop.publish(*(listing(each.product_id, [each.images[0].as_uri()], category=each.category) for each in products))
    with shop.worker():
        eventually(shop.caught_up, what="the gallery is indexed")
        figures = evaluate(shop, "--view", shop.settings.alias, "--sheet", str(shop.folder / "sheet.png"))
        shop.publish(event("deleted", "p11"))
        eventually(shop.caught_up, what="a product is gone")
    gone = evaluate(shop, "--view", shop.view, "--against", str(shop.folder / "bundle"), "--against-view", shop.view)

    assert figures["view"] == shop.view
    assert [answer["rank"] for answer in figures["answers"]] == RANKS
    assert figures["categories"]["low"]["queries"] == 2
    assert (shop.folder / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert [answer["rank"] for answer in gone["answers"]] == [1, 4, None, 3]
    assert gone["absent"] == 1
    assert gone["comparison"]["won"] == gone["comparison"]["lost"] == 0


def test_a_view_that_does_not_fit_is_refused(shop: Installation) -> None:
    files = [str(shop.folder / name) for name in ("bundle", "pairs.csv")]
    absent = f"{shop.settings.alias}-0123456789ab-7"
    wrong = {
        f"error: the collection {absent!r} does not exist": shop.run("evaluate", *files, "--view", absent),
        "error: the bundle is of the space": shop.run("evaluate", "shipped", files[1], "--view", shop.view),
        "error: Qdrant at http://127.0.0.1:9 can't be reached": freshline(
            "evaluate",
            *files,
            "--view",
            shop.view,
            env=shop.env | {"FRESHLINE_QDRANT_URL": "http://127.0.0.1:9", "FRESHLINE_QDRANT_GRPC_PORT": "9"},
        ),
    }

    assert [done.returncode for done in wrong.values()] == [1, 1, 1]
    assert all(done.stderr.startswith(message) for message, done in wrong.items())
