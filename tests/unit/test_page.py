"""The page's files, products' own pictures, and listing: what the page asks of the service."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from indexer.store import LOCAL, QdrantSettings, Store
from search.model import Model
from search.page import assets
from search.service import create_app
from search.settings import SearchSettings
from tests.colours import VIEW, encode, fill, manifest, picture, problem, put, talking_to, wrong_fields

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


@dataclass
class Catalogue:
    """A lister that only remembers."""

    listed: list[tuple[bytes, str]] = field(default_factory=list)

    async def list_product(self, picture: bytes, title: str) -> str:
        self.listed.append((picture, title))
        return "new/1"


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store(QdrantSettings(url=LOCAL))
    store.run_sync(fill)
    yield store
    store.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    root.mkdir()
    return root


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


def make_app(store: Store, root: Path | None = None, lister: Catalogue | None = None) -> FastAPI:
    return create_app(
        store=store,
        model=Model(manifest(), encode),
        settings=SearchSettings(max_image_bytes=100_000, image_root=root),
        registry=CollectorRegistry(),
        lister=lister,
    )


@pytest.fixture
async def http(store: Store, root: Path, catalogue: Catalogue) -> AsyncIterator[httpx.AsyncClient]:
    async with talking_to(make_app(store, root, catalogue)) as client:
        yield client


@pytest.fixture
async def plain(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A service with neither an image root nor a lister."""
    async with talking_to(make_app(store)) as client:
        yield client


# --- the page's files -------------------------------------------------------------------------------------------------
async def test_the_page_is_strict_about_what_it_loads(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"


async def test_all_that_the_page_names_is_there_and_ours(http: httpx.AsyncClient) -> None:
    html = (await http.get("/")).text
    named = re.findall(r'(?:src|href)="([^"#]+)"', html)
    assert "/page/page.js" in named
    for folder_file in Path(assets.__file__).parent.glob("*.js"):
        module = await http.get(f"/page/{folder_file.name}")
        named += [f"/page/{name}" for name in re.findall(r'from "\./([^"]+)"', module.text)]
    for address in named:
        assert address.startswith("/"), address
        assert (await http.get(address)).status_code == 200, address


@pytest.mark.parametrize(
    ("name", "kind"), [("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
)
async def test_files_have_their_types_and_are_kept_until_they_change(
    http: httpx.AsyncClient, name: str, kind: str
) -> None:
    first = await http.get(f"/page/{name}")
    assert first.headers["content-type"].split(";")[0] == kind
    assert first.headers["cache-control"] == "no-cache"
    again = await http.get(f"/page/{name}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await http.get(f"/page/{name}", headers={"If-None-Match": '"other"'})).status_code == 200
    assert (await http.head(f"/page/{name}")).headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("name", ["assets.py", "index.html", "__init__.py", "..%2Fservice.py", "nothing.js"])
async def test_nothing_else_is_served(http: httpx.AsyncClient, name: str) -> None:
    problem(await http.get(f"/page/{name}"), 404)


async def test_the_page_knows_what_the_service_can(http: httpx.AsyncClient, plain: httpx.AsyncClient) -> None:
    assert 'data-listing="on" data-pictures="on"' in (await http.get("/")).text
    assert 'data-listing="off" data-pictures="off"' in (await plain.get("/")).text


# --- products' own pictures -------------------------------------------------------------------------------------------
async def image_of(http: httpx.AsyncClient, store: Store, *urls: str, **fields: Any) -> httpx.Response:
    store.run_sync(lambda client: put(client, VIEW, "shown/1", ["red"], image_urls=list(urls), **fields))
    return await http.get("/v1/products/shown%2F1/image")


@pytest.mark.parametrize(("kind", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
async def test_a_picture_is_served_as_what_it_is(
    http: httpx.AsyncClient, store: Store, root: Path, kind: str, media_type: str
) -> None:
    path = root / "a picture.txt"
    path.write_bytes(picture("red", kind))
    response = await image_of(http, store, path.as_uri(), "https://shop.example/second.jpg")
    assert response.status_code == 200
    assert response.content == path.read_bytes()
    assert response.headers["content-type"] == media_type
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]
    assert "max-age" in response.headers["cache-control"]


def outside(root: Path) -> str:
    """Readable by the service, but not below the root."""
    secret = root.parent / "secret.jpg"
    secret.write_bytes(picture("red", "JPEG"))
    return secret.as_uri()


def linked(root: Path) -> str:
    link = root / "link.jpg"
    link.symlink_to(outside(root).removeprefix("file://"))
    return link.as_uri()


def ring(root: Path) -> str:
    link = root / "ring.jpg"
    link.symlink_to(link)
    return link.as_uri()


def script(root: Path) -> str:
    path = root / "script.jpg"
    path.write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    return path.as_uri()


def large(root: Path) -> str:
    path = root / "large.jpg"
    path.write_bytes(picture("red", "JPEG") + bytes(100_000))
    return path.as_uri()


FORBIDDEN: list[Any] = [
    outside,
    linked,
    ring,
    script,
    large,
    lambda root: outside(root) and f"{root.as_uri()}/../secret.jpg",
    lambda root: outside(root) and f"{root.as_uri()}/%2e%2e/secret.jpg",
    lambda root: outside(root) and f"{root.as_uri()}/..%2fsecret.jpg",
    lambda root: root.as_uri(),
    lambda root: f"{root.as_uri()}/nothing.jpg",
    lambda root: f"{root.as_uri()}/nul%00.jpg",
    lambda root: "file:///[",
    lambda root: "https://shop.example/a.jpg",
]


@pytest.mark.parametrize("place", FORBIDDEN)
async def test_nothing_but_pictures_below_the_root(
    http: httpx.AsyncClient, store: Store, root: Path, place: Any
) -> None:
    body = problem(await image_of(http, store, place(root)), 404)
    assert body["type"].endswith("picture-not-found")
    assert str(root) not in body["detail"]


async def test_no_picture_without_a_root_or_a_product(
    http: httpx.AsyncClient, plain: httpx.AsyncClient, store: Store, root: Path
) -> None:
    (root / "a.png").write_bytes(picture("red"))
    assert (await image_of(http, store, (root / "a.png").as_uri())).status_code == 200
    problem(await image_of(plain, store, (root / "a.png").as_uri()), 404)
    problem(await image_of(http, store), 404)
    problem(await http.get("/v1/products/nothing/image"), 404)


# --- listing ----------------------------------------------------------------------------------------------------------
async def test_a_listed_product_is_watched_until_it_can_be_found(
    http: httpx.AsyncClient, store: Store, catalogue: Catalogue
) -> None:
    response = await http.post("/v1/demo/products", files={"image": picture("red")}, data={"title": " A mug "})
    assert response.status_code == 202, response.text
    assert response.json() == {"product_id": "new/1", "searchable": False}
    assert catalogue.listed == [(picture("red"), "A mug")]
    state = response.headers["location"]
    assert (await http.get(state)).json() == {"product_id": "new/1", "searchable": False}
    store.run_sync(lambda client: put(client, VIEW, "new/1", ["red"]))
    assert (await http.get(state)).json() == {"product_id": "new/1", "searchable": True}
    store.run_sync(lambda client: put(client, VIEW, "new/1", [], deleted=True))
    assert (await http.get(state)).json()["searchable"] is False


@pytest.mark.parametrize(
    ("image", "status"),
    [(b"hello", 415), (picture("red")[:60], 422), (bytes(100_001), 413), (bytes(500_000), 413)],
    ids=["no picture", "cut off", "too large", "far too large"],
)
async def test_only_pictures_are_listed(
    http: httpx.AsyncClient, catalogue: Catalogue, image: bytes, status: int
) -> None:
    problem(await http.post("/v1/demo/products", files={"image": image}, data={"title": "A mug"}), status)
    assert catalogue.listed == []


async def test_a_listing_needs_a_form_with_a_title_and_a_picture(http: httpx.AsyncClient, catalogue: Catalogue) -> None:
    image = {"image": picture("red")}
    for title in ({}, {"title": ""}, {"title": "  "}, {"title": "x" * 201}):
        assert wrong_fields(await http.post("/v1/demo/products", files=image, data=title)) == ["title"]
    assert wrong_fields(await http.post("/v1/demo/products", files={"title": (None, "A mug")})) == ["image"]
    problem(await http.post("/v1/demo/products", json={"title": "A mug"}), 415)
    assert catalogue.listed == []


async def test_without_a_lister_nothing_is_listed(plain: httpx.AsyncClient) -> None:
    listing = await plain.post("/v1/demo/products", files={"image": picture("red")}, data={"title": "A mug"})
    for response in (listing, await plain.get("/v1/demo/products/new")):
        assert problem(response, 404)["type"].endswith("listing-unavailable")
