"""Fetching from hosts that are ill, on real sockets: who waits, who is refused, who is held."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.dead_letters import Reason
from schemas.events import Image
from stream.health import Health
from stream.images.breaker import BreakerSettings
from stream.images.download import retry_after
from stream.images.fetched import Fetched, FetchError, Known, Refused, Unavailable
from stream.images.fetcher import ImageFetcher, ImageSettings
from stream.images.files import FileReader
from tests.image_host import Delay, Drip, Hang, ImageHost, Redirect, Status, image_host

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PICTURE = b"a picture"
Open = Callable[..., Any]


@pytest.fixture
def hosts() -> Iterator[list[ImageHost]]:
    """Four of them, each with `/a`."""
    with ExitStack() as exits:
        served = [exits.enter_context(image_host()) for _ in range(4)]
        for host in served:
            host.add("/a", PICTURE)
        yield served


@pytest.fixture
async def fetcher() -> AsyncIterator[Open]:
    """Opens fetchers: one attempt, and a rest so long that no probe comes by itself, unless told otherwise."""
    async with AsyncExitStack() as exits:

        async def opened(health: Health | None = None, **settings: Any) -> ImageFetcher:
            options: dict[str, Any] = {
                "allow_networks": LOOPBACK,
                "attempts": 1,
                "timeout_seconds": 20.0,
                "breaker": BreakerSettings(rest_seconds=3600, longest_rest_seconds=3600),
            }
            return await exits.enter_async_context(ImageFetcher(ImageSettings(**(options | settings)), health))

        yield opened


def picture(host: ImageHost, path: str = "/a") -> Image:
    return Image(url=host.url + path)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # hosts count in threads of their own
            await asyncio.sleep(0.005)


# --- one host is ill ------------------------------------------------------------------------------------------------


async def test_one_host_that_hangs_takes_its_share_and_no_more_of_the_others_time(
    fetcher: Open, hosts: list[ImageHost]
) -> None:
    hangs, *others = hosts
    fetching = await fetcher(connections=8, connections_per_host=4)
    for host in hosts:
        await fetching.fetch(picture(host))
    hangs.tell(Hang())
    stuck = [asyncio.create_task(fetching.fetch(picture(hangs))) for _ in range(100)]
    await until(lambda: hangs.open == 4)

    got = await asyncio.gather(*(fetching.fetch(picture(host)) for host in others * 50))
    assert {each.data for each in got} == {PICTURE}
    assert hangs.most_open == 4
    assert not any(task.done() for task in stuck)
    hangs.heal()
    assert {each.data for each in await asyncio.gather(*stuck)} == {PICTURE}


async def test_the_first_volley_of_timeouts_opens_the_breaker_and_all_who_wait_are_refused(
    fetcher: Open, hosts: list[ImageHost]
) -> None:
    host = hosts[0]
    fetching = await fetcher(timeout_seconds=0.5, attempts=3)
    await asyncio.gather(*(fetching.fetch(picture(host)) for _ in range(50)))
    host.tell(Hang())
    asked = host.requests["/a"]
    errors = await asyncio.gather(*(fetching.fetch(picture(host)) for _ in range(200)), return_exceptions=True)

    assert {type(error) for error in errors} <= {Unavailable, Refused}
    assert sum(type(error) is Refused for error in errors) >= 180
    assert host.requests["/a"] - asked <= 16 + 4, "one volley, and those whose turn came before the fifth timeout"
    with pytest.raises(Refused, match="left alone"):
        await fetching.fetch(picture(host))


async def test_after_its_rest_a_host_is_probed_and_used_again(fetcher: Open, hosts: list[ImageHost]) -> None:
    host = hosts[0]
    fetching = await fetcher(breaker=BreakerSettings(rest_seconds=0.05))
    host.tell(Status(503, times=5))
    for _ in range(5):
        with pytest.raises(Unavailable):
            await fetching.fetch(picture(host))
    asked = host.requests["/a"]

    async def succeeds() -> Fetched:
        while True:
            try:
                return await fetching.fetch(picture(host))  # type: ignore[no-any-return]
            except Refused:
                await asyncio.sleep(0.005)

    async with asyncio.timeout(20):
        assert (await succeeds()).data == PICTURE
    assert host.requests["/a"] == asked + 1


@pytest.mark.parametrize("trouble", [Status(503), Status(500), Status(429), Status(522), Drip(1)], ids=str)
async def test_what_says_that_a_host_is_ill_opens_its_breaker(
    fetcher: Open, hosts: list[ImageHost], trouble: Any
) -> None:
    hosts[0].tell(trouble)
    fetching = await fetcher(timeout_seconds=0.2 if isinstance(trouble, Drip) else 20.0)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await fetching.fetch(picture(hosts[0]))
    with pytest.raises(Refused):
        await fetching.fetch(picture(hosts[0]))


async def test_a_host_that_is_down_opens_its_breaker_and_one_that_has_no_such_picture_does_not(
    fetcher: Open, hosts: list[ImageHost]
) -> None:
    hosts[0].down()
    fetching = await fetcher()
    for _ in range(20):
        with pytest.raises(Unavailable):
            await fetching.fetch(picture(hosts[0]))
        with pytest.raises(FetchError, match="HTTP 404"):
            await fetching.fetch(picture(hosts[1], "/absent"))
    with pytest.raises(Refused):
        await fetching.fetch(picture(hosts[0]))


@pytest.mark.parametrize("code", [429, 503])
async def test_a_host_is_left_alone_as_long_as_it_asks(fetcher: Open, hosts: list[ImageHost], code: int) -> None:
    hosts[0].tell(Status(code, {"Retry-After": "120"}, times=1))
    fetching = await fetcher(attempts=3)
    with pytest.raises(Unavailable, match=f"HTTP {code}"):
        await fetching.fetch(picture(hosts[0]))
    with pytest.raises(Refused, match=r"another 1(20|19) s"):
        await fetching.fetch(picture(hosts[0]))
    assert hosts[0].requests["/a"] == 1


def test_retry_after_is_read_in_seconds_and_as_a_date() -> None:
    now = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)

    assert retry_after("7", now) == 7
    assert retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
    assert retry_after(format_datetime(now - timedelta(days=1), usegmt=True), now) == 0
    assert [retry_after(text, now) for text in (None, "", "soon", "-1", "1.5")] == [0, 0, 0, 0, 0]


async def test_waiting_for_a_busy_host_is_not_counted_as_its_time(fetcher: Open, hosts: list[ImageHost]) -> None:
    hosts[0].tell(Delay(0.1))
    fetching = await fetcher(connections_per_host=1, timeout_seconds=1.0)
    got = await asyncio.gather(*(fetching.fetch(picture(hosts[0])) for _ in range(20)))

    assert len(got) == 20
    assert hosts[0].most_open == 1


async def test_a_redirect_is_a_visit_to_the_other_host_and_its_illness_is_not_the_firsts(
    fetcher: Open, hosts: list[ImageHost]
) -> None:
    first, second = hosts[:2]
    first.tell(Redirect(second.url + "/a"), "/moved")
    second.tell(Status(503), "/a")
    fetching = await fetcher()
    for _ in range(5):
        with pytest.raises(Unavailable):
            await fetching.fetch(picture(first, "/moved"))

    with pytest.raises(Refused, match=f":{second.port} is ill"):
        await fetching.fetch(picture(first, "/moved"))
    assert (await fetching.fetch(picture(first))).data == PICTURE


# --- most hosts are away --------------------------------------------------------------------------------------------


async def test_while_most_hosts_are_away_pictures_are_held_and_then_had(fetcher: Open, hosts: list[ImageHost]) -> None:
    health = Health()
    fetching = await fetcher(health, breaker=BreakerSettings(rest_seconds=0.05, longest_rest_seconds=0.1))
    for host in hosts:
        await fetching.fetch(picture(host))
    for host in hosts:
        host.down()
    held = [asyncio.create_task(fetching.fetch(picture(host))) for host in hosts * 20]
    await until(lambda: health.waits_for("images"))
    hosts[0].up()  # one alone doesn't make the others ill for themselves
    await until(lambda: all(task.done() for task in held[::4]))
    assert health.away == ["images"]
    assert not any(task.done() for at, task in enumerate(held) if at % 4)
    for host in hosts[1:]:
        host.up()

    assert {each.data for each in await asyncio.gather(*held)} == {PICTURE}
    assert health.away == []


async def test_a_picture_that_is_held_can_be_given_up(fetcher: Open, hosts: list[ImageHost]) -> None:
    health = Health()
    fetching = await fetcher(health)
    for host in hosts:
        await fetching.fetch(picture(host))
        host.tell(Status(503))
    held = [asyncio.create_task(fetching.fetch(picture(host))) for host in hosts * 10]
    await until(lambda: health.waits_for("images"))
    for task in held:
        task.cancel()
    results = await asyncio.gather(*held, return_exceptions=True)

    assert {type(result) for result in results} == {asyncio.CancelledError}
    assert health.away == []


async def test_with_two_hosts_only_an_ill_one_is_just_ill(fetcher: Open, hosts: list[ImageHost]) -> None:
    health = Health()
    fetching = await fetcher(health)
    hosts[0].down()
    hosts[1].down()
    for host in hosts[:2] * 6:
        with pytest.raises(Unavailable):
            await fetching.fetch(picture(host))
    assert health.away == []


# --- what hangs that is no host -------------------------------------------------------------------------------------


async def test_a_resolver_that_hangs_holds_up_only_the_names_that_it_hangs_on(
    fetcher: Open, hosts: list[ImageHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    released, real = threading.Event(), socket.getaddrinfo

    def sometimes(name: str, *details: Any) -> Any:
        if name.endswith("hangs.test"):
            released.wait()
            raise OSError("no such name")
        return real("127.0.0.1", *details)

    monkeypatch.setattr("socket.getaddrinfo", sometimes)
    fetching = await fetcher(timeout_seconds=3)
    stuck = [asyncio.create_task(fetching.fetch(Image(url=f"http://{i}.hangs.test/a"))) for i in range(24)]
    url = f"http://well.test:{hosts[0].port}/a"
    assert (await fetching.fetch(Image(url=url))).data == PICTURE
    assert not any(task.done() for task in stuck)
    assert await asyncio.to_thread(lambda: True), "the loop's own threads are free"

    errors = await asyncio.gather(*stuck, return_exceptions=True)
    released.set()
    assert {type(error) for error in errors} == {Unavailable}


async def test_a_disk_that_hangs_costs_a_picture_its_timeout_and_its_neighbours_nothing(
    fetcher: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, real = threading.Event(), FileReader._read

    def sometimes(self: FileReader, url: str) -> Fetched:
        if url.endswith("hangs"):
            released.wait()
        return real(self, url)

    monkeypatch.setattr(FileReader, "_read", sometimes)
    for name in ("hangs", *map(str, range(30))):
        (tmp_path / name).write_bytes(PICTURE)
    fetching = await fetcher(root=tmp_path, timeout_seconds=0.3)
    names = [*map(str, range(5)), "hangs", *map(str, range(5, 30))]
    results = await asyncio.gather(
        *(fetching.fetch(Image(url=f"file://{tmp_path}/{name}")) for name in names), return_exceptions=True
    )
    released.set()

    assert isinstance(results.pop(5), Unavailable)
    assert {each.data for each in results if isinstance(each, Fetched)} == {PICTURE}
    assert all(isinstance(each, Fetched) for each in results)


async def test_trouble_of_the_disk_is_passing_and_so_is_a_root_that_is_not_mounted(
    fetcher: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "mount"
    fetching = await fetcher(root=root)
    url = f"file://{root}/a"
    with pytest.raises(Unavailable, match="FRESHLINE_IMAGE_ROOT is not there"):
        await fetching.fetch(Image(url=url))
    root.mkdir()
    with pytest.raises(FetchError) as missing:
        await fetching.fetch(Image(url=url))
    assert missing.value.reason is Reason.IMAGE_MISSING

    def fails(*_: Any, **__: Any) -> Any:
        raise OSError(5, "Input/output error")

    (root / "a").write_bytes(PICTURE)
    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(Unavailable, match="Input/output error"):
        await fetching.fetch(Image(url=url))


async def test_an_error_of_ours_in_one_file_does_not_fail_its_neighbours(
    fetcher: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FileReader._read

    def sometimes(self: FileReader, url: str) -> Fetched:
        return real(self, url) if url.endswith("good") else 1 / 0  # type: ignore[return-value]

    monkeypatch.setattr(FileReader, "_read", sometimes)
    (tmp_path / "good").write_bytes(PICTURE)
    fetching = await fetcher(root=tmp_path)
    urls = [f"file://{tmp_path}/{name}" for name in ("good", "bad", "good")]
    results = await asyncio.gather(*(fetching.fetch(Image(url=url)) for url in urls), return_exceptions=True)

    assert [type(each) for each in results] == [Fetched, ZeroDivisionError, Fetched]


# --- room, and what is known ----------------------------------------------------------------------------------------


async def test_room_is_kept_for_what_was_had_and_given_back_for_all_else(fetcher: Open, hosts: list[ImageHost]) -> None:
    room = asyncio.Semaphore(2)
    fetching = await fetcher(timeout_seconds=0.2)
    hosts[0].tell(Status(503), "/ill")
    hosts[0].tell(Hang(), "/hangs")
    hosts[0].tell(Redirect("/a"), "/moved")
    wrong = Image(url=hosts[0].url + "/a", digest="sha256:" + "0" * 64)
    for image in (picture(hosts[0], "/ill"), picture(hosts[0], "/hangs"), picture(hosts[0], "/absent"), wrong):
        with pytest.raises(FetchError):
            await fetching.fetch(image, room)
    await fetching.fetch(picture(hosts[0], "/moved"), room)
    await fetching.fetch(picture(hosts[0]), room)
    assert room.locked()
    room.release()
    assert not room.locked()


async def test_a_picture_that_is_known_is_not_sent_again_while_its_host_says_that_it_is_the_same(
    fetcher: Open, hosts: list[ImageHost]
) -> None:
    hosts[0].etags = True
    fetching = await fetcher()
    first = await fetching.fetch(picture(hosts[0]))
    known = Known(first.etag, first.digest)
    again = await fetching.fetch(picture(hosts[0]), known=known)
    assert (again.unchanged, again.digest, again.data) == (True, first.digest, b"")

    hosts[0].add("/a", b"another")
    changed = await fetching.fetch(picture(hosts[0]), known=known)
    assert (changed.unchanged, changed.data) == (False, b"another")


@pytest.mark.parametrize("etag", ['W/"weak"', "bare", '"' + "x" * 300 + '"', '"in"side"', '""'])
async def test_only_a_strong_etag_of_reasonable_length_is_kept(
    fetcher: Open, hosts: list[ImageHost], etag: str
) -> None:
    hosts[0].tell(Status(200, {"ETag": etag}))

    assert (await (await fetcher()).fetch(picture(hosts[0]))).etag is None
