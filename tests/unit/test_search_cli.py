"""`freshline search` against a service that answers what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from freshline.cli.errors import Failure
from freshline.cli.search import _ago, search
from search.models import SearchResponse


class Service(HTTPServer):
    """Answers every request in the same way, and remembers the last one."""

    status = 200
    answer = b""
    asked: dict[str, Any]
    authorization: str | None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        self.server.authorization = self.headers["Authorization"]
        self.server.asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"picture")
    return path


def hit(**fields: Any) -> dict[str, Any]:
    occurred_at = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    return {
        "product_id": "mug/1",
        "score": 0.98765,
        "title": "[red] mug",
        "price": 5.0,
        "currency": "EUR",
        "occurred_at": occurred_at,
        "indexed_at": occurred_at,
        "version": 1,
    } | fields


def answer(*hits: dict[str, Any]) -> bytes:
    return json.dumps({"results": hits, "took_ms": 12.3, "view": "v", "bundle": "b@1"}).encode()


def test_table(service: Service, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service.answer = answer(hit(), hit(product_id="mug/2", title=None, price=None, currency=None))
    search(image, url=f"{service.url}/", limit=2)
    assert service.asked == {"image_base64": "cGljdHVyZQ==", "limit": 2}
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["0.988", "mug/1", "[red]", "mug", "5.00", "EUR", "5", "min", "ago"]
    assert lines[2].split() == ["0.988", "mug/2", "5", "min", "ago"]
    assert lines[3] == "2 products in 12 ms"


def test_words(service: Service, image: Path) -> None:
    service.answer = answer(hit())
    search(text="red mugs", url=service.url)
    assert service.asked == {"text": "red mugs", "limit": 10}
    search(image, text="in blue", text_weight=0.3, url=service.url)
    assert service.asked == {"image_base64": "cGljdHVyZQ==", "text": "in blue", "text_weight": 0.3, "limit": 10}
    with pytest.raises(Failure, match="give a picture, or --text"):
        search()


def test_a_key(service: Service, image: Path) -> None:
    service.answer = answer()
    search(image, url=service.url, key="fl_1")
    assert service.authorization == "Bearer fl_1"


def test_json(service: Service, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service.answer = answer(hit())
    search(image, url=service.url, as_json=True)
    answered = SearchResponse.model_validate_json(service.answer)
    assert SearchResponse.model_validate_json(capsys.readouterr().out) == answered


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (503, b'{"detail": "no view yet"}', "503: no view yet"),
        (502, b"<html>", "502: Bad Gateway"),
        (500, b"[]", "500: Internal Server Error"),
        (200, b"<html>", "is this the search service"),
    ],
)
def test_a_service_that_answers_otherwise(
    service: Service, image: Path, status: int, body: bytes, message: str
) -> None:
    service.status, service.answer = status, body
    with pytest.raises(Failure, match=message):
        search(image, url=service.url)


def test_what_cannot_be_asked(image: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"nothing\.jpg: No such file"):
        search(tmp_path / "nothing.jpg")
    with pytest.raises(Failure, match="Connection refused"):
        search(image, url="http://127.0.0.1:1")
    with pytest.raises(Failure, match="not an http"):
        search(image, url="file:///etc")
    with pytest.raises(Failure, match="a:b"):
        search(image, url="http://a:b")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (200_000, "2 d ago")],
)
def test_ago(seconds: int, text: str) -> None:
    assert _ago(timedelta(seconds=seconds)) == text
