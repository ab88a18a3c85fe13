"""A search service on Qdrant's local mode whose encoder sees nothing but the mean colour, and how it is asked."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from prometheus_client import CollectorRegistry
from qdrant_client import QdrantClient, models

from encoders.batcher import Pixels, Vectors
from indexer.collections import ensure_view, point_alias, view_name
from indexer.store import LOCAL, QdrantSettings, Store
from indexer.wire import named_vectors
from schemas.bundles import Manifest
from schemas.payloads import Payload, point_id
from search.model import Model
from search.service import create_app
from search.settings import SearchSettings

SPACE = "0123456789ab"
VIEW = view_name("products", SPACE, 1)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
COLOURS = {"red": (250, 10, 10), "orange": (250, 130, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


def encode(pixels: Pixels) -> Vectors:
    means = pixels.mean(axis=(1, 2), dtype=np.float32)
    vectors: Vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
    return vectors


def encode_text(texts: Sequence[str]) -> Vectors:
    """The sum of the colours that are named."""
    sums = [np.sum([COLOURS.get(word, (1, 1, 1)) for word in text.split()], axis=0) for text in texts]
    vectors: Vectors = np.array([each / np.linalg.norm(each) for each in sums], np.float32)
    return vectors


def vector(colour: str) -> list[float]:
    return [float(value) for value in encode(np.full((1, 8, 8, 3), COLOURS[colour], np.uint8))[0]]


def picture(colour: str, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), COLOURS[colour]).save(buffer, kind)
    return buffer.getvalue()


def manifest(space: str = SPACE) -> Manifest:
    digest = f"sha256:{'0' * 64}"
    return Manifest.model_validate(
        {
            "name": "mean-colour",
            "revision": "7",
            "space": space,
            "reference": digest,
            "dimension": 3,
            "input_size": 8,
            "resize": "squash",
            "image": {"fp32": "image.fp32.onnx"},
            "files": {"image.fp32.onnx": digest},
        }
    )


def put(client: QdrantClient, view: str, product_id: str, colours: list[str], **fields: Any) -> None:
    payload = Payload(
        product_id=product_id, version=1, revision=1, event_id="e", occurred_at=NOW, indexed_at=NOW, **fields
    )
    vectors = named_vectors([vector(colour) for colour in colours])
    point = models.PointStruct(id=point_id(product_id), vector=vectors, payload=payload.model_dump(mode="json"))
    client.upsert(view, [point], wait=True)


def fill(client: QdrantClient) -> None:
    ensure_view(client, VIEW, 3, [])
    point_alias(client, "products", VIEW)
    put(client, VIEW, "red", ["red", "red"], title="Red mug", category="mugs", brand="Acme", price=5, currency="EUR")
    put(client, VIEW, "shoes/orange", ["orange"], title="Orange shoe", category="shoes", brand="Acme", price=50)
    put(client, VIEW, "green", ["green"], title="Green", attributes={"size": ["S", "M"], "new": True, "heel.cm": 3})
    put(client, VIEW, "gone", [], deleted=True)
    # Never written so, but even then it must not be found.
    put(client, VIEW, "odd", ["red"], deleted=True)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store(QdrantSettings(url=LOCAL))
    yield store
    store.close()


def make_app(store: Store, settings: SearchSettings | None = None, space: str = SPACE) -> FastAPI:
    return create_app(
        store=store,
        model=Model(manifest(space), encode),
        settings=settings or SearchSettings(max_image_bytes=100_000),
        registry=CollectorRegistry(),
    )


@asynccontextmanager
async def talking_to(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://search") as client,
    ):
        yield client


async def search(http: httpx.AsyncClient, colour: str = "red", **fields: Any) -> httpx.Response:
    return await http.post("/v1/search", files={"image": picture(colour)}, data=fields)


async def search_json(http: httpx.AsyncClient, colour: str = "red", **fields: Any) -> httpx.Response:
    image = base64.b64encode(picture(colour)).decode()
    return await http.post("/v1/search", json={"image_base64": image, **fields})


def found(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [hit["product_id"] for hit in response.json()["results"]]


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def wrong_fields(response: httpx.Response) -> list[str]:
    return [error["field"] for error in problem(response, 422)["errors"]]
