"""`freshline serve` and `freshline search` as real processes, on a real Qdrant."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from PIL import Image
from qdrant_client import models

from encoders.bundle import load_bundle
from encoders.pixels import decode
from encoders.session import ImageEncoder
from encoders.training.drawing import photo, random_product
from indexer.collections import ensure_view, point_alias, space_of, view_name
from indexer.wire import named_vectors
from schemas.payloads import Payload, point_id
from tests.harness import FRESHLINE, Installation, eventually, free_port, freshline_here

COLOURS = {"mug/red": (220, 30, 40), "mug/blue": (30, 50, 220), "lamp": (240, 220, 60), "gone": (60, 200, 80)}


@pytest.fixture
def shop(installation: dict[str, str], tmp_path: Path) -> Iterator[Installation]:
    shop = Installation(installation, tmp_path)
    yield shop
    shop.close()


@pytest.fixture
def stocked(shop: Installation) -> Installation:
    """A shop whose products are in the index, put there without a worker."""
    shop.setup(partitions=1)
    put(shop, shop.view, list(COLOURS))
    return shop


def picture(product_id: str) -> bytes:
    buffer = io.BytesIO()
    canvas = np.full((64, 64, 3), 255, np.uint8)
    canvas[16:48, 8 : 24 + 8 * len(product_id) % 32] = COLOURS[product_id]
    Image.fromarray(canvas).save(buffer, "PNG")
    return buffer.getvalue()


def put(shop: Installation, view: str, product_ids: list[str]) -> None:
    encoder = ImageEncoder(load_bundle(shop.settings.bundle_path), threads=1)
    pixels = [decode(picture(product_id), size=encoder.size, resize=encoder.resize) for product_id in product_ids]
    vectors = encoder.encode(np.stack(pixels)).tolist()
    points = [point(product_id, vector) for product_id, vector in zip(product_ids, vectors, strict=True)]
    shop.store.run_sync(lambda client: client.upsert(view, points, wait=True))


def point(product_id: str, vector: list[float]) -> models.PointStruct:
    now = datetime.now(UTC)
    deleted = product_id == "gone"
    payload = Payload(
        product_id=product_id,
        version=1,
        revision=1,
        event_id="e",
        occurred_at=now,
        indexed_at=now,
        title=f"A {product_id}",
        category=product_id.partition("/")[0],
        price=len(product_id),
        currency="EUR",
        attributes={"rating": 4.5, "in stock": True, "sizes": ["S", "M"]},
        deleted=deleted,
    )
    vectors = named_vectors([] if deleted else [vector])
    return models.PointStruct(id=point_id(product_id), vector=vectors, payload=payload.model_dump(mode="json"))


def save(folder: Path, product_id: str) -> str:
    path = folder / f"{product_id.replace('/', '-')}.png"
    path.write_bytes(picture(product_id))
    return str(path)


def ask(url: str, product_id: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    """A search as multipart form; the status and the answer."""
    parts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    form = "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts.items())
    head = f'{form}--x\r\nContent-Disposition: form-data; name="image"; filename="i.png"\r\n\r\n'.encode()
    body = head + picture(product_id) + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return get(urllib.request.Request(f"{url}/v1/search", body, headers))


def get(request: str | urllib.request.Request) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def ids(answer: tuple[int, dict[str, Any]]) -> list[str]:
    status, body = answer
    assert status == 200, body
    return [hit["product_id"] for hit in body["results"]]


def test_a_picture_finds_its_product(stocked: Installation, tmp_path: Path) -> None:
    with stocked.serving() as url:
        for product_id in ("mug/red", "mug/blue", "lamp"):
            done = stocked.run("search", save(tmp_path, product_id), "--url", url, "--json")
            assert done.returncode == 0, done.stderr
            answer = json.loads(done.stdout)
            assert answer["results"][0]["product_id"] == product_id
            assert answer["results"][0]["score"] == pytest.approx(1, abs=1e-3)
            assert answer["view"] == stocked.view
            assert {hit["product_id"] for hit in answer["results"]} == {"mug/red", "mug/blue", "lamp"}
        table = stocked.run("search", save(tmp_path, "lamp"), "--url", url, "--limit", "1")
        assert "A lamp" in table.stdout
        assert "1 products in" in table.stdout


def test_words_find_through_the_shipped_text_tower(shop: Installation) -> None:
    shop.setup(partitions=1)
    encoder = ImageEncoder(load_bundle(shop.settings.bundle_path), threads=1)
    drawn = {f"{number}": random_product(number, ("mug", "shoe", "lamp")[number % 3]) for number in range(30)}
    pixels = [np.asarray(photo(each, encoder.size)) for each in drawn.values()]
    points = [point(name, row) for name, row in zip(drawn, encoder.encode(np.stack(pixels)).tolist(), strict=True)]
    view = shop.view
    shop.store.run_sync(lambda client: client.upsert(view, points, wait=True))
    with shop.serving() as url:
        for words, category in (("lamps", "lamp"), ("a mug", "mug"), ("SHOES", "shoe")):
            done = shop.run("search", "--text", words, "--limit", "5", "--url", url, "--json")
            assert done.returncode == 0, done.stderr
            found = [drawn[hit["product_id"]].category for hit in json.loads(done.stdout)["results"]]
            assert found == [category] * 5


def test_filters_and_products_on_a_real_server(stocked: Installation) -> None:
    with stocked.serving() as url:
        assert ids(ask(url, "lamp", category="mug", price_min=8)) == ["mug/blue"]
        assert ids(ask(url, "lamp", attributes={"in stock": True, "sizes": ["L", "S"], "rating": 4.5}, limit=1)) == [
            "lamp"
        ]
        assert ids(ask(url, "lamp", attributes={"in stock": False})) == []
        assert set(ids(get(f"{url}/v1/products/mug/red/similar"))) == {"mug/blue", "lamp"}
        assert get(f"{url}/v1/products/mug/red")[1]["title"] == "A mug/red"
        assert get(f"{url}/v1/products/gone")[1]["deleted"] is True
        assert get(f"{url}/v1/products/gone/similar")[0] == 404
        assert get(f"{url}/v1/products/{quote('no such/product ?', safe='')}")[0] == 404
        assert ids(ask(url, "lamp", text="a mug", text_weight=0))[0] == "lamp"
        assert ask(url, "lamp", text="a mug", text_weight=2)[0] == 422


def test_facets_on_a_real_server(installation: dict[str, str], tmp_path: Path) -> None:
    shop = Installation(installation | {"FRESHLINE_INDEXED_ATTRIBUTES": "sizes,rating"}, tmp_path)
    shop.setup(partitions=1)
    put(shop, shop.view, list(COLOURS))
    with shop.serving() as url:
        _, answer = ask(url, "lamp", limit=1, facets="category,attributes.sizes")
        assert answer["facets"] == {
            "category": [{"value": "mug", "count": 2}, {"value": "lamp", "count": 1}],
            "attributes.sizes": [{"value": "M", "count": 3}, {"value": "S", "count": 3}],
        }
        _, answer = ask(url, "lamp", limit=1, facets="category", price_min=5)
        assert answer["facets"]["category"] == [{"value": "mug", "count": 2}]
        status, refused = ask(url, "lamp", facets="attributes.in stock")
        assert (status, refused["errors"][0]["field"]) == (422, "facets")
    shop.close()


def test_hostile_uploads_are_refused_while_others_are_answered(stocked: Installation) -> None:
    """Slow ones that never end, a bomb, and what is no picture."""
    stocked.env["FRESHLINE_UPLOAD_SECONDS"] = "2"
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    with stocked.serving() as url, ExitStack() as slow:
        address = urlsplit(url)
        begun = [slow.enter_context(_never_ending(str(address.hostname), int(address.port or 0))) for _ in range(50)]
        for content, reason in ((bomb.getvalue(), "image_too_large"), (b"%PDF-1.7", "image_unsupported")):
            body = json.dumps({"image_base64": base64.b64encode(content).decode()}).encode()
            request = urllib.request.Request(f"{url}/v1/search", body, {"Content-Type": "application/json"})
            status, answer = get(request)
            assert (400 <= status < 500, answer["reason"]) == (True, reason)
        for product_id in ("mug/red", "mug/blue", "lamp"):
            assert ids(ask(url, product_id))[0] == product_id
        for each in begun:
            assert each.recv(100).split()[1] == b"408"


@contextmanager
def _never_ending(host: str, port: int) -> Iterator[socket.socket]:
    """An upload that was begun."""
    with socket.create_connection((host, port), timeout=30) as connection:
        head = (
            b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
        )
        connection.sendall(head + b'{"image_base64": "')
        yield connection


def test_an_upload_over_the_limit_is_answered(stocked: Installation, tmp_path: Path) -> None:
    huge = tmp_path / "huge.jpg"
    huge.write_bytes(bytes(30_000_000))
    with stocked.serving() as url:
        done = stocked.run("search", str(huge), "--url", url)
        assert done.returncode == 1
        assert "larger than 20 MB" in done.stderr
        assert ids(ask(url, "lamp", limit=1)) == ["lamp"]


def test_the_service_starts_before_its_view_and_follows_the_alias(shop: Installation, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "serve.log").open("wb") as log:
        command = [FRESHLINE, "serve", "--port", str(port)]
        process = subprocess.Popen(command, env=os.environ | shop.env, stdout=log, stderr=log)
    try:
        eventually(lambda: _status(f"{url}/healthz") == 200, what="the service is up")
        status, body = get(f"{url}/readyz")
        assert status == 503
        assert "freshline setup" in body["detail"]
        done = shop.run("search", save(tmp_path, "lamp"), "--url", url)
        assert (done.returncode, done.stdout) == (1, "")
        assert "503" in done.stderr

        shop.setup(partitions=1)
        eventually(lambda: _status(f"{url}/readyz") == 200, within=15, what="the first view is found")
        assert ids(ask(url, "lamp")) == []

        first = shop.view
        second = view_name(shop.settings.alias, space_of(first), 2)
        dimension = load_bundle(shop.settings.bundle_path).manifest.dimension
        shop.store.run_sync(lambda client: ensure_view(client, second, dimension, []))
        put(shop, second, ["lamp"])
        shop.store.run_sync(lambda client: point_alias(client, shop.settings.alias, second))
        shop.store.run_sync(lambda client: client.delete_collection(first))
        assert ids(ask(url, "lamp")) == ["lamp"]

        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_what_cannot_be_reached_or_read(shop: Installation, tmp_path: Path) -> None:
    for arguments in (["nothing.jpg"], [save(tmp_path, "lamp"), "--url", f"http://127.0.0.1:{free_port()}"]):
        done = freshline_here("search", *arguments, env=shop.env)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


def _status(url: str) -> int:
    try:
        return get(url)[0]
    except OSError:
        return 0
