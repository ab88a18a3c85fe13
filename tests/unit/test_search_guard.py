"""Keys, rates, load, slow bodies and headers: what stands between strangers and the work of a search."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from typer.testing import CliRunner

from encoders.batcher import Pixels, Vectors
from freshline.cli import app as commands
from indexer.store import Store
from search.admission import Admission
from search.keys import KeyFileError, Keys, new_key, read_keys
from search.metrics import SearchMetrics
from search.model import Model
from search.problems import Problem
from search.service import create_app
from search.settings import SearchSettings
from tests.colours import encode, fill, found, make_app, manifest, problem, search, store, talking_to

__all__ = ["store"]  # a fixture

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


def key_file(path: Path, *holders: tuple[str, str | None]) -> list[str]:
    made = [new_key(name, rate) for name, rate in holders]
    path.write_text("# keys\n\n" + "\n".join(line for _, line in made))
    return [key for key, _ in made]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_a_key_is_needed_where_something_costs(store: Store, tmp_path: Path) -> None:
    store.run_sync(fill)
    keys = key_file(tmp_path / "keys", ("web", None), ("app", None))
    async with talking_to(make_app(store, SearchSettings(keys=tmp_path / "keys"))) as http:
        for response in (await search(http), await http.get("/v1/products/red"), await http.get("/v1/demo/products/x")):
            assert "Bearer" in problem(response, 401)["detail"]
            assert response.headers["www-authenticate"] == "Bearer"
        http.headers.update(bearer("fl_guessed"))
        assert "not known" in problem(await search(http), 401)["detail"]
        for key in keys:
            http.headers.update(bearer(key))
            assert found(await search(http))[0] == "red"
        del http.headers["authorization"]
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert (await http.get(path)).status_code == 200
        assert 'freshline_search_refused_total{reason="key"} 4.0' in (await http.get("/metrics")).text
        described = (await http.get("/openapi.json")).json()
        assert described["paths"]["/v1/search"]["post"]["security"] == [{"HTTPBearer": []}]


async def test_each_key_has_its_rate(store: Store, tmp_path: Path) -> None:
    store.run_sync(fill)
    first, second, third = key_file(tmp_path / "keys", ("web", "2/hour"), ("app", None), ("batch", "1000 per 1 minute"))
    settings = SearchSettings(keys=tmp_path / "keys", rate="1/hour")
    async with talking_to(make_app(store, settings)) as http:

        async def asked(key: str) -> int:
            return (await http.get("/v1/products/red", headers=bearer(key))).status_code

        assert [await asked(first) for _ in range(3)] == [200, 200, 429]
        assert [await asked(second) for _ in range(2)] == [200, 429]
        assert [await asked(third) for _ in range(5)] == [200] * 5
        refused = await http.get("/v1/products/red", headers=bearer(first))
        assert "2 per 1 hour" in problem(refused, 429)["detail"]
        assert 1 <= int(refused.headers["retry-after"]) <= 7200
        assert 'freshline_search_refused_total{reason="rate"} 3.0' in (await http.get("/metrics")).text


def test_the_file_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.keys._LOOK_SECONDS", 0.0)
    path = tmp_path / "keys"
    (first,) = key_file(path, ("web", None))
    keys = Keys(path)
    holder = keys.holder(first)
    assert holder is not None
    assert holder.name == "web"
    (second,) = key_file(path, ("another", None))
    assert keys.holder(first) is None
    assert keys.holder(second) is not None
    for spoil in (lambda: path.write_text("nonsense"), path.unlink):
        with capture_logs() as logged:
            spoil()
            assert keys.holder(second) is not None
            assert keys.holder(second) is not None
        assert [each["log_level"] for each in logged] == ["error"]  # once each
        assert str(path) in logged[0]["error"]


@pytest.mark.parametrize("line", ["web", "web abc", f"web {'a' * 64} often", f"w?b {'a' * 64}"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys"
    path.write_text(f"\n{line}\n")
    with pytest.raises(KeyFileError, match=r"keys, line 2: "):
        read_keys(path)
    with pytest.raises(KeyFileError, match="missing"):
        read_keys(tmp_path / "missing")


def test_the_command_makes_keys_that_only_its_caller_sees(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    at = ["--file", str(path)]
    made = [CliRunner().invoke(commands, ["keys", "new", name, *at]) for name in ("web", "web", "app")]
    printed = [each.stdout.strip() for each in made]
    assert not any(key in path.read_text() for key in printed)
    assert path.stat().st_mode & 0o077 == 0
    keys = Keys(path)
    holders = [keys.holder(key) for key in printed]
    assert [each.name for each in holders if each] == ["web", "web", "app"]
    listed = CliRunner().invoke(commands, ["keys", "list", *at]).stdout
    assert listed.count("web  any rate") == 2
    for wrong in (["a b"], ["web", "--rate", "often"]):
        assert CliRunner().invoke(commands, ["keys", "new", *wrong, *at]).exit_code != 0
    assert len(path.read_text().splitlines()) == 3


async def test_what_would_wait_too_long_is_refused_at_once() -> None:
    registry = CollectorRegistry()
    admission = Admission(2, 0.05, SearchMetrics(registry))
    for _ in range(2):  # and then all is as before
        working = [admission.admitted() for _ in range(2)]
        for each in working:
            await each.__aenter__()
        refused = await asyncio.gather(*(_refused(admission) for _ in range(3)))
        assert [(each.status, each.headers) for each in refused] == [(503, {"Retry-After": "1"})] * 3
        for each in working:
            await each.__aexit__(None, None, None)
    assert registry.get_sample_value("freshline_search_refused_total", {"reason": "load"}) == 6


async def test_a_long_queue_is_known_before_the_body_is_read() -> None:
    admission = Admission(1, 0.2, SearchMetrics(CollectorRegistry()))
    for _ in range(40):  # of 20 ms each, so that ten fit into the patience
        async with admission.admitted():
            await asyncio.sleep(0.02)
    async with admission.admitted(), asyncio.TaskGroup() as group:
        waiting = [group.create_task(_refused(admission)) for _ in range(30)]
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="more searches"):
            admission.check()
    assert all(each.done() for each in waiting)
    admission.check()


async def _refused(admission: Admission) -> Problem:
    with pytest.raises(Problem) as refused:
        async with admission.admitted():
            raise AssertionError("it was admitted")
    return refused.value


async def test_overload_is_a_problem_of_its_own(store: Store) -> None:
    store.run_sync(fill)
    began, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(pixels: Pixels) -> Vectors:
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(30)
        return encode(pixels)

    settings = SearchSettings(most_searches=1, patience_seconds=0.05)
    app = create_app(store=store, model=Model(manifest(), slow), settings=settings, registry=CollectorRegistry())
    async with talking_to(app) as http:
        first = asyncio.create_task(search(http))
        await began.wait()
        refused = await search(http)
        assert problem(refused, 503)["type"] == "urn:freshline:problem:overloaded"
        assert refused.headers["retry-after"] == "1"
        assert (await http.get("/v1/products/red")).status_code == 200
        release.set()
        assert found(await first)[0] == "red"
        assert found(await search(http))[0] == "red"


async def test_a_body_that_does_not_arrive(store: Store) -> None:
    store.run_sync(fill)

    async def slow() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        await asyncio.sleep(30)

    async with talking_to(make_app(store, SearchSettings(upload_seconds=0.1))) as http:
        form = {"content-type": "multipart/form-data; boundary=x"}
        late = await http.post("/v1/search", content=slow(), headers=form)
        assert "0.1 s" in problem(late, 408)["detail"]


async def test_headers_for_browsers(store: Store) -> None:
    store.run_sync(fill)
    async with talking_to(make_app(store)) as http:
        for path in ("/v1/products/red", "/nowhere", "/v1/search"):
            headers = (await http.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "script-src 'self'" in (await http.get("/")).headers["content-security-policy"]


async def test_other_sites_pages_may_ask_only_where_they_are_named(store: Store) -> None:
    store.run_sync(fill)

    async def preflight(origin: str, **settings: Any) -> httpx.Response:
        async with talking_to(make_app(store, SearchSettings(**settings))) as http:
            asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            return await http.options("/v1/search", headers=asks)

    assert "access-control-allow-origin" not in (await preflight("https://shop.example")).headers
    allowed = await preflight("https://shop.example", cors_origins=("https://shop.example",))
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    other = await preflight("https://other.example", cors_origins=("https://shop.example",))
    assert "access-control-allow-origin" not in other.headers


def test_a_service_does_not_start_with_a_wrong_key_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("x")
    os.utime(tmp_path / "keys")
    with pytest.raises(KeyFileError, match="line 1"):
        make_app(store, SearchSettings(keys=tmp_path / "keys"))
