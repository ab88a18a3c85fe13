"""The HTTP API on Qdrant's local mode, with an encoder that sees nothing but the mean colour."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from encoders.batcher import Pixels, Vectors
from indexer.collections import ensure_view, view_name
from indexer.store import Store
from schemas.canary import CANARY
from search.model import Model
from search.models import JsonSearch, SearchResponse
from search.service import create_app
from search.settings import SearchSettings
from tests.colours import (
    SPACE,
    VIEW,
    encode,
    encode_text,
    fill,
    found,
    make_app,
    manifest,
    picture,
    problem,
    put,
    search,
    search_json,
    store,
    talking_to,
    vector,
    wrong_fields,
)

__all__ = ["store"]  # a fixture

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


@pytest.fixture
def app(store: Store) -> FastAPI:
    store.run_sync(fill)
    return make_app(store)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with talking_to(app) as client:
        yield client


@pytest.mark.parametrize("form", [search, search_json])
async def test_finds_by_picture_in_both_forms(http: httpx.AsyncClient, form: Any) -> None:
    response = await form(http)
    assert found(response) == ["red", "shoes/orange", "green"]
    body = response.json()
    assert (body["view"], body["bundle"]) == (VIEW, "mean-colour@7")
    assert body["took_ms"] > 0
    first = body["results"][0]
    assert first.pop("score") == pytest.approx(1, abs=1e-5)
    assert first == {
        "product_id": "red",
        "title": "Red mug",
        "category": "mugs",
        "brand": "Acme",
        "price": 5.0,
        "currency": "EUR",
        "image_urls": [],
        "occurred_at": "2026-11-23T12:00:00Z",
        "indexed_at": "2026-11-23T12:00:00Z",
        "version": 1,
    }


FILTERS = [
    ({"limit": 1}, ["red"]),
    ({"category": "shoes"}, ["shoes/orange"]),
    ({"brand": "Acme"}, ["red", "shoes/orange"]),
    ({"price_min": 5, "price_max": 49.99}, ["red"]),
    ({"price_min": 50}, ["shoes/orange"]),
    ({"attributes": {"size": "M"}}, ["green"]),
    ({"attributes": {"size": ["L", "S"], "new": True}}, ["green"]),
    ({"attributes": {"new": False}}, []),
    ({"attributes": {"heel.cm": 3}}, ["green"]),
    ({"attributes": {"heel.cm": 4}}, []),
]


@pytest.mark.parametrize(("fields", "expected"), FILTERS)
async def test_filters(http: httpx.AsyncClient, fields: dict[str, Any], expected: list[str]) -> None:
    assert found(await search_json(http, **fields)) == expected
    if "attributes" in fields:
        fields = {"attributes": httpx.Request("GET", "http://x", json=fields["attributes"]).content.decode()}
    assert found(await search(http, **fields)) == expected


PAGES = [
    ({"offset": 1}, ["shoes/orange", "green"]),
    ({"offset": 1, "limit": 1}, ["shoes/orange"]),
    ({"offset": 3}, []),
    ({"min_score": 0.5}, ["red", "shoes/orange"]),
    ({"min_score": 0.5, "offset": 1}, ["shoes/orange"]),
    ({"min_score": -1}, ["red", "shoes/orange", "green"]),
]


@pytest.mark.parametrize(("fields", "expected"), PAGES)
@pytest.mark.parametrize("form", [search, search_json])
async def test_pages_and_scores(
    http: httpx.AsyncClient, form: Any, fields: dict[str, Any], expected: list[str]
) -> None:
    assert found(await form(http, **fields)) == expected


async def test_facets_count_what_meets_the_filters(http: httpx.AsyncClient) -> None:
    response = await search_json(http, limit=1, facets=["brand", "category", "attributes.size", "attributes.heel.cm"])
    assert found(response) == ["red"]
    counted = response.json()["facets"]
    assert counted["brand"] == [{"value": "Acme", "count": 2}]
    assert counted["category"] == [{"value": "mugs", "count": 1}, {"value": "shoes", "count": 1}]
    assert counted["attributes.size"] == [{"value": "M", "count": 1}, {"value": "S", "count": 1}]
    assert counted["attributes.heel.cm"] == [{"value": 3, "count": 1}]
    few = await search(http, facets="brand, attributes.new", category="shoes")
    assert few.json()["facets"] == {"brand": [{"value": "Acme", "count": 1}], "attributes.new": []}


async def test_fields_left_empty_in_a_form_count_as_absent(http: httpx.AsyncClient) -> None:
    assert found(await search(http, text="", category="", attributes="", limit="")) == ["red", "shoes/orange", "green"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"limit": 0}, ["limit"]),
        ({"limit": 101}, ["limit"]),
        ({"limit": "many"}, ["limit"]),
        ({"price_min": "-1", "price_max": "inf"}, ["price_min", "price_max"]),
        ({"shape": "round"}, ["shape"]),
        ({"offset": 1001}, ["offset"]),
        ({"min_score": 1.5}, ["min_score"]),
    ],
)
async def test_wrong_fields_are_named(http: httpx.AsyncClient, fields: dict[str, Any], wrong: list[str]) -> None:
    assert wrong_fields(await search(http, **fields)) == wrong
    assert wrong_fields(await search_json(http, **fields)) == wrong


@pytest.mark.parametrize("attributes", ["{", "[]", '{"a": {}}', '{"a\\"b": 1}', '{"a\\\\b": 1}', "[" * 100_000])
async def test_wrong_attributes_are_named(http: httpx.AsyncClient, attributes: str) -> None:
    assert wrong_fields(await search(http, attributes=attributes))[0].startswith("attributes")


@pytest.mark.parametrize(
    ("content", "field"),
    [("{}", "image_base64"), ('{"image_base64": "!"}', "image_base64"), ('{"image_base64": 1}', "image_base64")],
)
async def test_json_needs_an_image(http: httpx.AsyncClient, content: str, field: str) -> None:
    response = await http.post("/v1/search", content=content, headers={"content-type": "application/json"})
    assert wrong_fields(response) == [field]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\xff", '{"attributes": ' + "[" * 100_000])
async def test_a_body_that_is_no_json_object(http: httpx.AsyncClient, content: str) -> None:
    response = await http.post(
        "/v1/search", content=content.encode("latin-1"), headers={"content-type": "application/json"}
    )
    problem(response, 422)


async def test_a_form_needs_an_image_file(http: httpx.AsyncClient) -> None:
    assert wrong_fields(await http.post("/v1/search", files={"limit": (None, "3")})) == ["image"]
    assert wrong_fields(await http.post("/v1/search", files={"image": ("", b"")})) == ["image"]
    assert wrong_fields(await http.post("/v1/search", files={"image": (None, "photo.jpg")})) == ["image"]


async def test_broken_multipart(http: httpx.AsyncClient) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        problem(await http.post("/v1/search", content=b"nonsense", headers={"content-type": kind}), 400)


async def test_text_has_no_tower(http: httpx.AsyncClient) -> None:
    for response in (
        await search(http, text="red mug"),
        await search_json(http, text="red mug"),
        await http.post("/v1/search", json={"text": "red mug"}),
    ):
        body = problem(response, 422)
        assert body["type"] == "urn:freshline:problem:text-unsupported"
        assert "no text tower" in body["detail"]


@pytest.fixture
async def reading(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A service whose bundle has a text tower."""
    store.run_sync(fill)
    app = create_app(
        store=store,
        model=Model(manifest(), encode, encode_text),
        settings=SearchSettings(),
        registry=CollectorRegistry(),
    )
    async with talking_to(app) as client:
        yield client


async def test_finds_by_words_in_both_forms(reading: httpx.AsyncClient) -> None:
    for response in (
        await reading.post("/v1/search", json={"text": " green thing ", "limit": 2}),
        await reading.post("/v1/search", data={"text": "green thing", "limit": "2"}, files={"image": ("", b"")}),
        await reading.post("/v1/search", files={"text": (None, "green thing"), "limit": (None, "2")}),
    ):
        assert found(response) == ["green", "shoes/orange"]
    assert 'stage="words"} 3.0' in (await reading.get("/metrics")).text
    assert found(await reading.post("/v1/search", json={"text": "green", "category": "mugs"})) == ["red"]


@pytest.mark.parametrize(
    ("weight", "first"), [(0.0, "red"), (0.1, "red"), (None, "shoes/orange"), (0.9, "green"), (1.0, "green")]
)
async def test_a_picture_and_words_are_weighed(reading: httpx.AsyncClient, weight: float | None, first: str) -> None:
    fields = {} if weight is None else {"text_weight": weight}
    assert found(await search(reading, "red", text="green", **fields))[0] == first
    answer = await search_json(reading, "red", text="green", **fields)
    assert found(answer)[0] == first
    share = 0.5 if weight is None else weight
    asked = (1 - share) * np.array(vector("red")) + share * np.array(vector("green"))
    assert answer.json()["results"][0]["score"] == pytest.approx(
        vector(first.removeprefix("shoes/")) @ asked / np.linalg.norm(asked), abs=1e-5
    )


async def test_wrong_words_are_named(reading: httpx.AsyncClient) -> None:
    assert wrong_fields(await reading.post("/v1/search", json={"text": "x" * 1025})) == ["text"]
    assert wrong_fields(await search(reading, text="red", text_weight="1.1")) == ["text_weight"]
    body = problem(await reading.post("/v1/search", json={"text": "  "}), 422)
    assert body["detail"] == "image_base64: is required, unless text is given"


@pytest.mark.parametrize(
    ("image", "status", "reason"),
    [
        (b"GIF89a", 415, "image_unsupported"),
        (b"hello", 415, "image_unsupported"),
        (picture("red")[:60], 422, "image_corrupt"),
        (picture("red", "JPEG")[:200], 422, "image_corrupt"),
    ],
)
async def test_what_is_no_picture(http: httpx.AsyncClient, image: bytes, status: int, reason: str) -> None:
    body = problem(await http.post("/v1/search", files={"image": image}), status)
    assert body["reason"] == reason


@pytest.mark.parametrize("size", [100_001, 500_000])
async def test_images_over_the_limit(http: httpx.AsyncClient, size: int) -> None:
    image = bytes(size)

    async def without_length() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        yield image
        yield b"\r\n--x--\r\n"

    form = {"content-type": "multipart/form-data; boundary=x"}
    for response in (
        await http.post("/v1/search", files={"image": image}),
        await http.post("/v1/search", json={"image_base64": base64.b64encode(image).decode()}),
        await http.post("/v1/search", content=without_length(), headers=form),
    ):
        assert "0.1 MB" in problem(response, 413)["detail"]


async def test_neither_form(http: httpx.AsyncClient) -> None:
    for kind in ("image/png", "application/x-www-form-urlencoded", ""):
        problem(await http.post("/v1/search", content=picture("red"), headers={"content-type": kind}), 415)


async def test_what_the_index_holds_for_a_product(http: httpx.AsyncClient) -> None:
    held = (await http.get("/v1/products/shoes/orange")).json()
    assert held["title"] == "Orange shoe"
    assert held["deleted"] is False
    assert (await http.get("/v1/products/shoes%2Forange")).json() == held
    tombstone = await http.get("/v1/products/gone")
    assert (tombstone.status_code, tombstone.json()["deleted"]) == (200, True)
    assert "nothing" in problem(await http.get("/v1/products/nothing"), 404)["detail"]


async def test_similar_products(http: httpx.AsyncClient) -> None:
    assert found(await http.get("/v1/products/shoes/orange/similar")) == ["red", "green"]
    assert found(await http.get("/v1/products/red/similar", params={"limit": 1})) == ["shoes/orange"]
    assert found(await http.get("/v1/products/red/similar", params={"offset": 1})) == ["green"]
    assert found(await http.get("/v1/products/red/similar", params={"min_score": 0.5})) == ["shoes/orange"]
    scored = (await http.get("/v1/products/red/similar")).json()["results"]
    for hit, colour in zip(scored, ["orange", "green"], strict=True):  # of two pictures, and yet a cosine
        assert hit["score"] == pytest.approx(np.dot(vector("red"), vector(colour)), abs=1e-5)
    assert wrong_fields(await http.get("/v1/products/red/similar", params={"limit": 0})) == ["limit"]
    for product_id in ("nothing", "gone"):
        problem(await http.get(f"/v1/products/{product_id}/similar"), 404)


async def test_the_canary_is_nobodys_to_see(http: httpx.AsyncClient, store: Store) -> None:
    store.run_sync(lambda client: put(client, VIEW, CANARY, ["red"], category="canary"))
    store.run_sync(lambda client: put(client, VIEW, "red mug", ["red"], category="mugs"))
    everything = {"red", "red mug", "shoes/orange", "green"}
    assert set(found(await search(http, limit="100"))) == everything
    assert found(await search(http, category="canary")) == []
    assert set(found(await http.get("/v1/products/red/similar"))) == everything - {"red"}
    for path in ("", "/similar", "/image"):
        problem(await http.get(f"/v1/products/{CANARY}{path}"), 404)


async def test_other_errors_are_problems_too(http: httpx.AsyncClient) -> None:
    assert "/nowhere" in problem(await http.get("/nowhere"), 404)["detail"]
    response = await http.get("/v1/search")
    problem(response, 405)
    assert response.headers["allow"] == "POST"


async def test_a_failure_of_ours_is_a_problem_without_its_details(store: Store) -> None:
    def broken(_: Pixels) -> Vectors:
        raise ArithmeticError("secret")

    store.run_sync(fill)
    app = create_app(
        store=store, model=Model(manifest(), broken), settings=SearchSettings(), registry=CollectorRegistry()
    )
    async with talking_to(app) as http:
        response = await search(http)
    problem(response, 500)
    assert "secret" not in response.text


async def test_health_metrics_and_openapi(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    assert (await http.get("/readyz")).json() == {"status": "ready", "view": VIEW, "bundle": "mean-colour@7"}
    await search(http)
    metrics = (await http.get("/metrics")).text
    for stage in ("decode", "encode", "query", "total"):
        assert f'freshline_search_seconds_count{{stage="{stage}"}} 1.0' in metrics
    assert "freshline_search_batch_fill_ratio_count 1.0" in metrics
    operation = (await http.get("/openapi.json")).json()["paths"]["/v1/search"]["post"]
    assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    assert set(operation["responses"]) == {"200", "default"}
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert JsonSearch.model_validate(examples["words"]["value"]).limit == 5
    assert [sorted(each["value"]) for each in examples.values()][2] == ["image_base64", "text", "text_weight"]
    (answer,) = SearchResponse.model_json_schema()["examples"]
    assert SearchResponse.model_validate(answer).results[0].product_id == "mug-17"


async def test_before_the_first_view(store: Store) -> None:
    async with talking_to(make_app(store)) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert "freshline setup" in problem(await http.get("/readyz"), 503)["detail"]
        problem(await http.get("/v1/products/red"), 503)
        response = await search(http)
        problem(response, 503)
        assert response.headers["retry-after"] == "5"


async def test_a_view_of_another_space_is_refused(store: Store) -> None:
    store.run_sync(fill)
    async with talking_to(make_app(store, space="ffffffffffff")) as http:
        assert "ffffffffffff" in problem(await search(http), 503)["detail"]
        problem(await http.get("/readyz"), 503)


async def test_a_pinned_view_is_searched_whatever_the_alias_says(store: Store) -> None:
    other = view_name("products", SPACE, 2)
    store.run_sync(fill)
    store.run_sync(lambda client: ensure_view(client, other, 3, []))
    async with talking_to(make_app(store, SearchSettings(view=other))) as http:
        assert found(await search(http)) == []
        assert (await http.get("/readyz")).json()["view"] == other
