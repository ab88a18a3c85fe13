"""`freshline.Client` and the search service, over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from freshline import Client, SearchError
from indexer.store import Store
from search.keys import new_key
from search.settings import SearchSettings
from tests.colours import fill, make_app, picture, store
from tests.serving import serving

__all__ = ["store"]  # a fixture

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    store.run_sync(fill)
    with serving(make_app(store)) as url, Client(url) as opened:
        yield opened


def test_it_searches(client: Client, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    found = client.search(tmp_path / "red.png", limit=2, facets=["brand"])
    assert [hit.product_id for hit in found.results] == ["red", "shoes/orange"]
    assert [(each.value, each.count) for each in found.facets["brand"]] == [("Acme", 2)]
    filtered = client.search(picture("red"), category="shoes", brand="Acme", price_min=1, price_max=50, min_score=0.1)
    assert [hit.title for hit in filtered.results] == ["Orange shoe"]
    sized = client.search(picture("red"), attributes={"size": ["M"], "new": True})
    assert [hit.product_id for hit in sized.results] == ["green"]


def test_products(client: Client) -> None:
    assert [hit.product_id for hit in client.similar("shoes/orange", offset=1).results] == ["green"]
    held = client.product("shoes/orange")
    assert held is not None
    assert held.title == "Orange shoe"
    assert client.product("nothing") is None


def test_what_is_refused_says_why(client: Client) -> None:
    with pytest.raises(SearchError, match="422: limit: ") as wrong:
        client.search(picture("red"), limit=1000)
    assert wrong.value.errors[0]["field"] == "limit"
    with pytest.raises(SearchError) as refused:
        client.search(b"GIF89a")
    assert (refused.value.status, refused.value.type) == (415, "urn:freshline:problem:image-refused")
    with pytest.raises(SearchError, match="404"):
        client.similar("nothing")


def test_keys_and_what_passes(store: Store, tmp_path: Path) -> None:
    store.run_sync(fill)
    key, line = new_key("web", "2/second")
    (tmp_path / "keys").write_text(line)
    with serving(make_app(store, SearchSettings(keys=tmp_path / "keys"))) as url:
        with Client(url) as stranger, pytest.raises(SearchError, match="401: a key is needed"):
            stranger.product("red")
        with Client(url, key=key, attempts=5) as known:  # more often than its key may, and yet it is answered
            assert [known.product("red") is None for _ in range(5)] == [False] * 5
        with Client(url, key=key, attempts=1) as hasty, pytest.raises(SearchError, match="429: this key may ask"):
            any(hasty.product("red") is None for _ in range(5))


def test_no_service() -> None:
    with Client("http://127.0.0.1:1", attempts=2) as client, pytest.raises(SearchError, match="no answer") as error:
        client.product("red")
    assert error.value.status is None
    for url in ("file:///etc", "http://a:b", "shop"):
        with pytest.raises(ValueError, match=url):
            Client(url)
