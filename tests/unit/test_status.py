from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from freshline.status import serve_status
from tests.harness import free_port


def get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture
def away() -> list[str]:
    return []


@pytest.fixture
def url(away: list[str]) -> str:
    registry, port = CollectorRegistry(), free_port()
    Counter("freshline_events", "Events.", registry=registry).inc()
    serve_status("127.0.0.1", port, registry, lambda: away)
    return f"http://127.0.0.1:{port}"


def test_metrics_are_there(url: str) -> None:
    status, body = get(f"{url}/metrics")

    assert status == 200
    assert b"freshline_events_total 1.0" in body


def test_a_worker_is_ready_while_it_waits_for_nothing(url: str, away: list[str]) -> None:
    assert get(f"{url}/readyz") == (200, b'{"ready": true, "waits_for": []}')

    away.append("qdrant")

    status, body = get(f"{url}/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "waits_for": ["qdrant"]})
    assert get(f"{url}/healthz")[0] == 200


def test_there_is_nothing_else(url: str) -> None:
    assert get(f"{url}/")[0] == 404
