"""The image host of the tests does what it is told: what other tests prove rests on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import aiohttp
import pytest

from tests.image_host import Delay, Drip, Hang, ImageHost, Redirect, Status, image_host

PICTURE = b"a picture"


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with image_host() as served:
        served.add("/a", PICTURE)
        yield served


async def get(url: str, seconds: float = 5.0, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, headers=headers, allow_redirects=False) as response,
    ):
        return response.status, await response.read()


async def test_it_serves_what_it_has(host: ImageHost) -> None:
    assert await get(host.url + "/a") == (200, PICTURE)
    assert (await get(host.url + "/b"))[0] == 404
    assert host.requests == {"/a": 1, "/b": 1}


async def test_it_hangs_until_it_is_healed_a_path_or_as_a_whole(host: ImageHost) -> None:
    host.tell(Hang(), "/a")
    host.tell(Hang())
    waiting = asyncio.gather(*(get(host.url + "/a") for _ in range(200)))
    async with asyncio.timeout(10):
        while host.open < 200:  # noqa: ASYNC110  # it counts in another thread
            await asyncio.sleep(0.01)

    host.heal()
    assert host.open == 200
    host.heal("/a")
    assert set(await waiting) == {(200, PICTURE)}
    assert host.most_open == 200


async def test_it_gives_a_status_with_headers_so_many_times(host: ImageHost) -> None:
    host.tell(Status(429, {"Retry-After": "3"}, times=2))

    async with aiohttp.ClientSession() as session, session.get(host.url + "/a") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "3")
    assert [(await get(host.url + "/a"))[0] for _ in range(3)] == [429, 200, 200]


async def test_it_drips_and_delays(host: ImageHost) -> None:
    host.tell(Drip(1.0))
    with pytest.raises(TimeoutError):
        await get(host.url + "/a", 0.1)
    host.tell(Drip(1e6))
    assert await get(host.url + "/a") == (200, PICTURE)
    host.tell(Delay(60))
    with pytest.raises(TimeoutError):
        await get(host.url + "/a", 0.1)
    host.heal()
    assert await get(host.url + "/a") == (200, PICTURE)


async def test_it_refuses_connections_while_it_is_down(host: ImageHost) -> None:
    host.tell(Hang())
    hanging = asyncio.create_task(get(host.url + "/a"))
    async with asyncio.timeout(10):
        while not host.open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for _ in range(3):
        host.down()
        with pytest.raises(aiohttp.ClientConnectorError):
            await get(host.url + "/a")
        host.heal()
        host.up()
        assert await get(host.url + "/a") == (200, PICTURE)
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_it_redirects_and_knows_etags(host: ImageHost) -> None:
    host.tell(Redirect("/b"), "/a")
    assert (await get(host.url + "/a"))[0] == 302
    host.heal("/a")
    host.etags = True
    async with aiohttp.ClientSession() as session, session.get(host.url + "/a") as response:
        etag = response.headers["ETag"]
    assert await get(host.url + "/a", headers={"If-None-Match": etag}) == (304, b"")
    assert host.statuses[304] == 1
