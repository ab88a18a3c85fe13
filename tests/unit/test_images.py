from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from schemas.dead_letters import Reason
from schemas.events import Image
from stream.images.fetcher import FetchError, ImageFetcher, ImageSettings, Unavailable, allowed
from tests.hostile import PRIVATE, PRIVATE_V6, spellings

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PICTURE = b"\x89PNG and more"


class Host:
    """An image host on this machine; `responses` are given out one by one, the last again and again."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: Counter[str] = Counter()
        self.headers: dict[str, str] = {}
        self._routes: dict[str, list[Callable[[web.Request], Awaitable[web.StreamResponse]]]] = {}

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def on(self, path: str, *responses: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        self._routes[path] = list(responses)
        return self.url(path)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path] += 1
        self.headers = dict(request.headers)
        responses = self._routes[request.path]
        return await (responses.pop(0) if len(responses) > 1 else responses[0])(request)


def says(
    status: int = 200, body: bytes = PICTURE, **headers: str
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def respond(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return respond


def redirects(location: str, status: int = 302) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    return says(status, b"", Location=location)


async def hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    served = Host()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.port = runner.addresses[0][1]
    yield served
    await runner.cleanup()


async def fetch(url: str, *, digest: str | None = None, **settings: Any) -> bytes:
    options: dict[str, Any] = {"allow_networks": LOOPBACK, "attempts": 1, "timeout_seconds": 5.0}
    async with ImageFetcher(ImageSettings(**(options | settings))) as fetcher:
        image = Image.model_construct(url=url, digest=digest)  # also what no event may hold: a redirect may
        return (await fetcher.fetch(image)).data


async def refusal(url: str, **settings: Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await fetch(url, **settings)
    assert url in str(caught.value)
    return caught.value


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait for nothing."""
    monkeypatch.setattr("stream.images.fetcher.wait_random_exponential", lambda **_: lambda _state: 0.0)


# --- http -----------------------------------------------------------------------------------------------------------


async def test_a_picture_comes_with_the_digest_of_its_bytes(host: Host) -> None:
    url = host.on("/a", says())
    async with ImageFetcher(ImageSettings(allow_networks=LOOPBACK)) as fetcher:
        fetched = await fetcher.fetch(Image(url=url))

    assert fetched.data == PICTURE
    assert fetched.digest == f"sha256:{hashlib.sha256(PICTURE).hexdigest()}"


async def test_the_digest_of_the_event_is_held(host: Host) -> None:
    url = host.on("/a", says())

    assert await fetch(url, digest=f"sha256:{hashlib.sha256(PICTURE).hexdigest()}") == PICTURE
    assert (await refusal(url, digest="sha256:" + "0" * 64)).reason is Reason.IMAGE_DIGEST


@pytest.mark.parametrize("status", [204, 304, 400, 401, 403, 404, 410, 501])
async def test_an_answer_that_will_not_change_is_missing_at_once(host: Host, status: int) -> None:
    error = await refusal(host.on("/a", says(status, b"")), attempts=3)

    assert (error.reason, host.requests["/a"]) == (Reason.IMAGE_MISSING, 1)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_passing_trouble_is_tried_again(host: Host, status: int) -> None:
    url = host.on("/a", says(status), says())

    assert await fetch(url, attempts=2) == PICTURE
    assert host.requests["/a"] == 2


async def test_after_the_last_attempt_a_picture_is_unavailable(host: Host) -> None:
    error = await refusal(host.on("/a", says(503)), attempts=3)

    assert isinstance(error, Unavailable)
    assert host.requests["/a"] == 3


async def test_a_host_that_does_not_answer_is_unavailable(host: Host) -> None:
    assert isinstance(await refusal(host.on("/a", hangs), timeout_seconds=0.05), Unavailable)


async def test_a_host_that_stops_in_the_middle_is_unavailable(host: Host) -> None:
    async def stalls(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"some")
        return await hangs(request)

    assert isinstance(await refusal(host.on("/a", stalls), timeout_seconds=0.2), Unavailable)


def unused_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


async def test_a_port_that_nobody_listens_on_is_unavailable() -> None:
    assert isinstance(await refusal(f"http://127.0.0.1:{unused_port()}/a"), Unavailable)


async def test_a_host_without_an_address_is_unavailable() -> None:
    assert isinstance(await refusal("http://freshline.invalid/a"), Unavailable)


async def test_a_picture_of_the_largest_size_is_taken_and_one_byte_more_is_not(host: Host) -> None:
    url = host.on("/a", says())

    assert await fetch(url, max_bytes=len(PICTURE)) == PICTURE
    assert (await refusal(url, max_bytes=len(PICTURE) - 1)).reason is Reason.IMAGE_TOO_LARGE


async def test_a_picture_that_never_ends_is_left_when_it_gets_too_large(host: Host) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    assert (await refusal(host.on("/a", endless), max_bytes=100_000)).reason is Reason.IMAGE_TOO_LARGE


async def test_no_compression_is_asked_for_and_none_undone(host: Host) -> None:
    url = host.on("/a", says(200, PICTURE, **{"Content-Encoding": "gzip"}))

    assert await fetch(url) == PICTURE
    assert host.headers["Accept-Encoding"] == "identity"


async def test_a_fetcher_serves_many_at_once(host: Host) -> None:
    url = host.on("/a", says())
    async with ImageFetcher(ImageSettings(allow_networks=LOOPBACK, connections_per_host=2)) as fetcher:
        fetched = await asyncio.gather(*(fetcher.fetch(Image(url=url)) for _ in range(20)))

    assert {each.data for each in fetched} == {PICTURE}


async def test_a_fetch_can_be_cancelled(host: Host) -> None:
    url = host.on("/a", hangs)
    async with ImageFetcher(ImageSettings(allow_networks=LOOPBACK)) as fetcher:
        task = asyncio.create_task(fetcher.fetch(Image(url=url)))
        async with asyncio.timeout(5):
            while not host.requests["/a"]:  # noqa: ASYNC110  # the server has no event for it
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.mark.parametrize(
    "name", ["a" * 64 + ".test", "a..test", ".", "-", "a%20b.test", "%00", "127.0.0.1.", "0", "999.0.0.1", "xn--a"]
)
async def test_a_host_name_that_is_none_fails_like_any_other(name: str) -> None:
    with pytest.raises(FetchError):
        await fetch(f"http://{name}/a")


@pytest.mark.parametrize("tail", [":99999/", ":x/", ":-1/", ":/a", "?", "#a", "/%zz", "/\x00", "/a b", "/é"])
async def test_a_url_with_a_strange_ending_raises_nothing_strange(host: Host, tail: str) -> None:
    with pytest.raises(FetchError):
        await fetch(f"http://127.0.0.1{tail}")


@asynccontextmanager
async def raw_host(answer: bytes) -> AsyncIterator[str]:
    """A host that answers with these very bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff\xfe",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 999 \xff\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://a..b/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: ftp://h/\x80\xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \x80\xff://\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\x80\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_an_answer_that_is_broken_is_a_fetch_error_with_a_message_that_is_text(answer: bytes) -> None:
    async with raw_host(answer) as url:
        error = await refusal(url)

    assert str(error).encode()


async def test_random_bytes_in_an_answer_raise_nothing_but_fetch_errors() -> None:
    chance = random.Random(1)
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/a\r\nContent-Length: 0\r\n\r\n"
    for _ in range(40):
        answer = bytearray(head)
        for _ in range(chance.randint(1, 4)):
            answer[chance.randrange(len(answer))] = chance.randrange(256)
        async with raw_host(bytes(answer)) as url:
            with pytest.raises(FetchError) as caught:
                await fetch(url, timeout_seconds=0.5)
        assert str(caught.value).encode()


# --- redirects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(host: Host, status: int) -> None:
    host.on("/b", says())

    assert await fetch(host.on("/a", redirects("/b", status))) == PICTURE


async def test_redirects_are_followed_up_to_their_limit(host: Host) -> None:
    host.on("/1", redirects("/2"))
    host.on("/2", redirects("/3"))
    host.on("/3", says())

    assert await fetch(host.url("/1"), max_redirects=2) == PICTURE
    assert (await refusal(host.url("/1"), max_redirects=1)).reason is Reason.IMAGE_MISSING


async def test_a_ring_of_redirects_ends(host: Host) -> None:
    assert (await refusal(host.on("/a", redirects("/a")))).reason is Reason.IMAGE_MISSING


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "//192.168.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://0.0.0.0/",
        "file:///etc/passwd",
        "ftp://images.test/a",
        "data:image/png;base64,AAAA",
    ],
)
async def test_a_redirect_to_where_a_picture_may_not_come_from_is_forbidden(host: Host, location: str) -> None:
    error = await refusal(host.on("/a", redirects(location)))

    assert error.reason is Reason.IMAGE_FORBIDDEN


async def test_a_redirect_to_a_name_of_a_forbidden_address_is_forbidden(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_name: str, port: int, *_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr("socket.getaddrinfo", resolve)

    error = await refusal(host.on("/a", redirects("http://inside.test/")))
    assert error.reason is Reason.IMAGE_FORBIDDEN


# --- addresses ------------------------------------------------------------------------------------------------------

SPELLINGS = [
    *spellings("127.0.0.1"),
    "127.8.8.8",
    "localhost",
    "LOCALHOST",
    "0x7f.1",
    "127.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::1%25lo]",
    "127.0.0.1%25lo",
    "\u2460\u2461\u2466.0.0.1",
    "loc\u00adalhost",
]


@pytest.mark.parametrize("name", SPELLINGS, ids=ascii)
async def test_this_machine_is_not_reached_by_any_spelling(host: Host, name: str) -> None:
    host.on("/a", says())

    with pytest.raises(FetchError) as caught:
        await fetch(host.url("/a", host=name), allow_networks=())

    assert not isinstance(caught.value, Unavailable)
    assert not host.requests


async def test_a_network_that_is_allowed_is_reached_by_name_too(host: Host) -> None:
    host.on("/a", says())

    assert await fetch(host.url("/a", host="localhost")) == PICTURE


@pytest.mark.parametrize("address", [*PRIVATE, *PRIVATE_V6, "::ffff:10.0.0.1"])
def test_an_address_that_is_not_public_is_refused_unless_its_network_is_allowed(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    own = getattr(parsed, "ipv4_mapped", None) or parsed

    assert not allowed(parsed, [])
    assert allowed(parsed, [ipaddress.ip_network(own)])


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1", "2a00::1"],
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert allowed(ipaddress.ip_address(address), [])


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("user@a.test", "user name"),
        ("user:secret@a.test", "user name"),
        (":secret@a.test", "user name"),
        ("a.test:22", "port 22"),
        ("a.test:25", "port 25"),
        ("a.test:0", "port 0"),
        ("169.254.169.254", "not public"),
        ("[fd00:ec2::254]", "not public"),
        ("168.63.129.16", "not public"),
    ],
)
async def test_a_place_that_pictures_do_not_come_from_is_named(host: Host, place: str, why: str) -> None:
    for url in (f"http://{place}/a", host.on("/a", redirects(f"http://{place}/a"))):
        error = await refusal(url)
        assert error.reason is Reason.IMAGE_FORBIDDEN
        assert why in str(error)


async def test_the_connection_goes_to_the_address_that_was_judged(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["127.0.0.1", "10.0.0.1"])  # a name that stands for another address the next time it is looked up

    def resolve(_name: str, port: int, *_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    host.on("/a", says())

    assert await fetch(host.url("/a", host="rebinds.test")) == PICTURE
    assert next(answers) == "10.0.0.1", "looked up once"


async def test_a_name_with_some_private_addresses_is_reached_by_its_public_ones_only(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_name: str, port: int, *_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (at, port)) for at in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    url = host.url("/a", host="both.test")
    host.on("/a", says())

    assert await fetch(url, allow_networks=(ipaddress.ip_network("127.0.0.1/32"),)) == PICTURE
    assert (await refusal(url, allow_networks=())).reason is Reason.IMAGE_FORBIDDEN


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "shoes").mkdir(parents=True)
    (folder / "shoes" / "red one.png").write_bytes(PICTURE)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "images-of-others").mkdir()
    (tmp_path / "images-of-others" / "a.png").write_bytes(b"secret")
    return folder


async def test_a_file_below_the_root_is_read(root: Path) -> None:
    assert await fetch(f"file://{root}/shoes/red%20one.png", root=root) == PICTURE


async def test_no_file_is_read_where_no_root_is_set(root: Path) -> None:
    error = await refusal(f"file://{root}/shoes/red%20one.png")

    assert error.reason is Reason.IMAGE_FORBIDDEN
    assert "FRESHLINE_IMAGE_ROOT" in str(error)


@pytest.mark.parametrize(
    "tail", ["/../secret", "/shoes/../../secret", "/%2e%2e/secret", "/..%2fsecret", "-of-others/a.png", "/.."]
)
async def test_a_file_outside_of_the_root_is_forbidden(root: Path, tail: str) -> None:
    assert (await refusal(f"file://{root}{tail}", root=root)).reason is Reason.IMAGE_FORBIDDEN


async def test_a_link_out_of_the_root_is_forbidden(root: Path) -> None:
    (root / "link.png").symlink_to(root.parent / "secret")
    (root / "folder").symlink_to(root.parent)

    assert (await refusal(f"file://{root}/link.png", root=root)).reason is Reason.IMAGE_FORBIDDEN
    assert (await refusal(f"file://{root}/folder/secret", root=root)).reason is Reason.IMAGE_FORBIDDEN


async def test_a_link_inside_of_the_root_is_followed(root: Path) -> None:
    (root / "link.png").symlink_to(root / "shoes" / "red one.png")

    assert await fetch(f"file://{root}/link.png", root=root) == PICTURE


async def test_a_root_that_is_a_link_itself_is_a_root(root: Path) -> None:
    (root.parent / "linked").symlink_to(root)

    assert await fetch(f"file://{root.parent}/linked/shoes/red%20one.png", root=root.parent / "linked") == PICTURE


@pytest.mark.parametrize("tail", ["/absent.png", "/absent/a.png", "/a%00.png", "/" + "a" * 300])
async def test_a_file_that_is_not_there_is_missing(root: Path, tail: str) -> None:
    assert (await refusal(f"file://{root}{tail}", root=root)).reason is Reason.IMAGE_MISSING


async def test_a_ring_of_links_is_missing(root: Path) -> None:
    (root / "one").symlink_to(root / "two")
    (root / "two").symlink_to(root / "one")

    assert (await refusal(f"file://{root}/one", root=root)).reason is Reason.IMAGE_MISSING


async def test_a_folder_or_a_pipe_is_no_picture(root: Path) -> None:
    os.mkfifo(root / "pipe")

    async with asyncio.timeout(5):
        assert (await refusal(f"file://{root}/shoes", root=root)).reason is Reason.IMAGE_FORBIDDEN
        assert (await refusal(f"file://{root}/pipe", root=root)).reason is Reason.IMAGE_FORBIDDEN


async def test_a_file_that_is_too_large_is_not_read(root: Path) -> None:
    url = f"file://{root}/shoes/red%20one.png"

    assert await fetch(url, root=root, max_bytes=len(PICTURE)) == PICTURE
    assert (await refusal(url, root=root, max_bytes=len(PICTURE) - 1)).reason is Reason.IMAGE_TOO_LARGE


async def test_the_digest_of_a_file_is_held_too(root: Path) -> None:
    url = f"file://{root}/shoes/red%20one.png"

    assert (await refusal(url, root=root, digest="sha256:" + "0" * 64)).reason is Reason.IMAGE_DIGEST
