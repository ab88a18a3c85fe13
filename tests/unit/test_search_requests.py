from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI, HTTPException
from structlog.testing import capture_logs

from search.problems import add_handlers
from search.requests import RequestLog


async def _product(product_id: str) -> str:
    if product_id == "broken":
        raise ArithmeticError("a fault of ours")
    if product_id == "gone":
        raise HTTPException(404)
    structlog.get_logger().info("looking")
    return product_id


async def _well() -> str:
    return "well"


@asynccontextmanager
async def _service() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.add_api_route("/v1/products/{product_id:path}", _product)
    app.add_api_route("/readyz", _well)
    add_handlers(app)
    app.add_middleware(RequestLog)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://search") as http:
        yield http


async def _asked(path: str, **headers: str) -> tuple[httpx.Response, list[Any]]:
    async with _service() as http:
        with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
            return await http.get(path, headers=headers), list(lines)


async def test_a_request_is_a_line_with_its_route_and_not_its_words() -> None:
    response, lines = await _asked(
        "/v1/products/red%20shoe?text=birthday+present", **{"X-Request-ID": "from-outside.1"}
    )

    looking, request = lines
    assert request.pop("ms") >= 0
    assert request == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "route": "/v1/products/{product_id:path}",
        "status": 200,
        "request_id": "from-outside.1",
    }
    assert looking["request_id"] == response.headers["X-Request-ID"] == "from-outside.1"


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, '"}\n'])
async def test_a_strange_id_is_replaced(given: str) -> None:
    async with _service() as http:
        response = await http.get("/readyz", headers=[(b"X-Request-ID", given.encode())])

    assert len(response.headers["X-Request-ID"]) == 32


@pytest.mark.parametrize(("product", "status"), [("gone", 404), ("broken", 500)])
async def test_an_error_has_its_line_too(product: str, status: int) -> None:
    response, lines = await _asked(f"/v1/products/{product}")

    assert response.status_code == status
    request = next(line for line in lines if line["event"] == "request")
    assert (request["status"], request["request_id"]) == (status, response.headers["X-Request-ID"])


async def test_a_fault_of_ours_is_logged_with_its_exception_and_the_answer_names_the_same_id() -> None:
    response, lines = await _asked("/v1/products/broken")

    failed = next(line for line in lines if line["event"] == "request failed")
    assert isinstance(failed["exc_info"], ArithmeticError)
    assert failed["request_id"] == response.headers["X-Request-ID"]
    assert "a fault of ours" not in json.dumps(response.json())


async def test_probes_and_scrapes_are_not_worth_a_line() -> None:
    _, lines = await _asked("/readyz")

    assert [line["log_level"] for line in lines] == ["debug"]


async def test_what_is_nowhere_has_no_route() -> None:
    _, lines = await _asked("/v2/anything")

    assert (lines[-1]["route"], lines[-1]["status"]) == (None, 404)
