"""The canary on real Kafka and Qdrant, with real workers: rounds that pass, and rounds that must not."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from qdrant_client import models

from encoders.bundle import load_bundle
from freshline.canary.compose import opened_canary
from freshline.canary.events import Versions, listing, withdrawal
from freshline.canary.pictures import draw, place_of
from freshline.canary.runner import Canary, CanaryRunner
from freshline.canary.sight import Sight
from indexer.collections import ensure_view, view_name
from schemas.canary import CANARY
from schemas.payloads import VECTOR_NAME, point_id
from stream.monitor.state import CanaryState
from tests import harness
from tests.bundles import tiny_bundle
from tests.harness import Installation, eventually, free_port
from tests.integration.test_reconcile import reconcile
from tests.integration.test_search_service import get

STEPS = ["published", "indexed", "found", "updated", "deleted", "gone"]


@contextmanager
def canary(shop: Installation, registry: CollectorRegistry | None = None, **fields: Any) -> Iterator[CanaryRunner]:
    settings = shop.settings.model_copy(update=fields)
    with opened_canary(settings, registry or CollectorRegistry()) as opened:
        assert isinstance(opened, CanaryRunner)
        yield opened


async def states_of(runner: CanaryRunner) -> dict[str, CanaryState]:
    """By view, after one more round."""
    await runner.round()
    return {state.view: state for state in runner.states()}


def make_view(shop: Installation, name: str, dimension: int) -> str:
    shop.store.run_sync(lambda client: ensure_view(client, name, dimension, []))
    return name


async def test_a_round_passes_and_leaves_nothing_but_a_tombstone(shop: Installation) -> None:
    registry = CollectorRegistry()
    with shop.worker() as worker, canary(shop, registry) as runner:
        eventually(worker.ready, within=200)
        for _ in range(2):
            (state,) = (await states_of(runner)).values()
            assert (state.view, state.failed_step, state.message) == (shop.view, None, None)
            assert list(state.steps) == STEPS
            assert state.last_success_ms is not None
        assert worker.metric("freshline_freshness_seconds_count", lane="live") == 6  # it is live traffic
    for step in STEPS:
        labels = {"view": shop.view, "step": step}
        assert registry.get_sample_value("freshline_canary_seconds_count", labels) == 2
        assert registry.get_sample_value("freshline_canary_failures_total", labels) == 0
    held = shop.payload(CANARY)
    assert held is not None
    assert held.deleted
    assert shop.dead_letters() == []


async def test_it_goes_through_each_view_also_of_another_model(shop: Installation, tmp_path: Path) -> None:
    tiny = tiny_bundle(tmp_path / "tiny").manifest
    building = make_view(shop, view_name(shop.settings.alias, tiny.space, 2), tiny.dimension)
    local = {"FRESHLINE_IMAGE_ALLOW_NETWORKS": "127.0.0.0/8"}
    other = {"FRESHLINE_BUNDLE": str(tmp_path / "tiny"), "FRESHLINE_VIEW": building}
    with (
        shop.worker(**local) as serving_worker,
        shop.worker(**local, **other) as building_worker,
        serving_at(port := free_port()) as answering,
        canary(shop, canary_images=f"http://127.0.0.1:{port}") as runner,
    ):
        answering.append(runner)
        eventually(lambda: serving_worker.ready() and building_worker.ready(), within=200)
        states = await states_of(runner)
    assert [state.failed_step for state in states.values()] == [None, None]
    assert list(states) == [shop.view, building]  # the serving one first
    assert list(states[shop.view].steps) == STEPS
    assert list(states[building].steps) == ["published", "indexed", "updated", "deleted"]
    assert "found, gone: skipped" in (states[building].message or "")


async def test_a_view_without_a_worker_fails_at_indexed_and_hides_no_other(shop: Installation) -> None:
    manifest = load_bundle(shop.settings.bundle_path).manifest
    building = make_view(shop, view_name(shop.settings.alias, manifest.space, 2), manifest.dimension)
    with shop.worker() as worker, canary(shop, canary_deadline_seconds=20) as runner:
        eventually(worker.ready, within=200)
        states = await states_of(runner)
    assert (states[shop.view].failed_step, list(states[shop.view].steps)) == (None, STEPS)
    assert (states[building].failed_step, list(states[building].steps)) == ("indexed", ["published"])
    assert states[building].message == "the view holds nothing of it; so it was for 20 s"


async def test_after_rounds_without_a_worker_the_next_passes_and_nothing_is_given_up(shop: Installation) -> None:
    with canary(shop, canary_deadline_seconds=1) as runner:
        for _ in range(3):
            (state,) = (await states_of(runner)).values()
            assert state.failed_step == "indexed"
    with shop.worker() as worker, canary(shop) as another:  # as after a restart of the monitor
        eventually(worker.ready, within=200)
        (state,) = (await states_of(another)).values()
        assert state.failed_step is None, state
        eventually(shop.caught_up)
    assert shop.dead_letters() == []


async def test_vectors_that_are_not_the_pictures_fail_at_found(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed = Sight.indexed

    async def then_sabotaged(sight: Sight, version: int) -> str | None:
        seen = await indexed(sight, version)
        if seen is None:
            turn_vectors_round(shop)
        return seen

    shop.publish(harness.listing("mug", [harness.draw(shop.folder / "mug.jpg", 1)]))
    with shop.worker(), canary(shop, canary_deadline_seconds=20) as runner:
        eventually(lambda: shop.payload("mug"), within=200)
        monkeypatch.setattr(Sight, "indexed", then_sabotaged)
        (state,) = (await states_of(runner)).values()
        assert state.failed_step == "found"
        assert "'mug' (" in (state.message or "")
        assert "the canary is number 2" in (state.message or "")
        eventually(lambda: (held := shop.payload(CANARY)) and held.deleted)  # withdrawn all the same


def turn_vectors_round(shop: Installation) -> None:
    rows = [[-value for value in row] for row in shop.vectors(CANARY)]
    view = shop.view
    points = [models.PointVectors(id=point_id(CANARY), vector={VECTOR_NAME: rows})]
    shop.store.run_sync(lambda client: client.update_vectors(view, points, wait=True))


async def test_a_round_that_is_cancelled_withdraws_its_product(shop: Installation) -> None:
    topic = shop.settings.topics.events
    with canary(shop) as runner:
        running = asyncio.create_task(runner.run())
        await asyncio.to_thread(eventually, lambda: any(high for _, high in shop.watermarks(topic).values()))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    types = [json.loads(value or b"{}")["type"] for _, _, value in shop.records(topic)]
    assert types == ["created", "deleted"]


def test_shoppers_and_reconciliation_never_see_it(shop: Installation) -> None:
    place, versions, picture = place_of(shop.settings), Versions("timestamp"), draw()
    assert place is not None
    version = versions.next()
    shop.publish(harness.listing("mug", [harness.draw(shop.folder / "mug.jpg", 1)]))
    shop.publish(listing("created", version, place.put(picture, version)))
    with shop.worker(), shop.serving() as url:
        eventually(lambda: (held := shop.payload(CANARY)) and held.encoded_images, within=200)
        eventually(shop.caught_up)
        assert shown(url, picture) == ["mug"]
        for path in (CANARY, f"{CANARY}/similar", f"{CANARY}/image"):
            assert get(f"{url}/v1/products/{path}")[0] == 404
        assert_reconciled(shop, events=1)
        shop.publish(withdrawal(versions.next()))
        eventually(lambda: (held := shop.payload(CANARY)) and held.deleted)
        eventually(shop.caught_up)
        assert_reconciled(shop, events=1)
        assert shown(url, picture) == ["mug"]


def assert_reconciled(shop: Installation, *, events: int) -> None:
    found = reconcile(shop)
    assert (found["differences"], found["events"], found["products"], found["points"]) == (0, events, 1, 1)
    assert found["examples"] == {}


def shown(url: str, picture: bytes) -> list[str]:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="i.jpg"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    status, answer = get(urllib.request.Request(f"{url}/v1/search", head + picture + b"\r\n--x--\r\n", headers))
    assert status == 200, answer
    return [hit["product_id"] for hit in answer["results"]]


@contextmanager
def serving_at(port: int) -> Iterator[list[Canary]]:
    """The route of the monitor, for the canary that is put into the list."""
    asked: list[Canary] = []

    class Route(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.partition("?")[0].removeprefix("/canary/")
            picture = asked[0].image(name)
            self.send_response(200 if picture else 404)
            self.send_header("Content-Length", str(len(picture or b"")))
            self.end_headers()
            self.wfile.write(picture or b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Route)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
