"""One picture by http or https: bounded in time, bytes and redirects, from addresses that may be asked."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self

import aiohttp
from yarl import URL

from schemas.dead_letters import Reason
from stream.images.addresses import ForbiddenAddress, GuardedResolver, IPNetwork, check_location
from stream.images.fetched import Fetched, FetchError, Known, Room, Unavailable, digest_of
from stream.images.host import Visit
from stream.images.hosts import Hosts

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_LASTING = frozenset({501, 505})  # of the 5xx
_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,256}"')  # strong ones: a weak one doesn't promise the same bytes


@dataclass(frozen=True)
class DownloadSettings:
    """The bounds of one attempt."""

    allow_networks: Sequence[IPNetwork]
    max_bytes: int
    timeout_seconds: float
    max_redirects: int
    connections: int


@dataclass
class _Errand:
    """One attempt under way."""

    url: str
    room: Room
    known: Known | None
    seconds_left: float


class Downloader:
    """An async context manager; safe to share between tasks."""

    def __init__(self, settings: DownloadSettings, hosts: Hosts) -> None:
        self._settings = settings
        self._hosts = hosts
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, room: Room, known: Known | None) -> Fetched:
        """One attempt. Each place on the way is a visit of its own; only what happens there counts as its time.

        Args:
            url: of the picture.
            room: is taken for each visit, and kept for the caller when the picture is had.
            known: what need not be sent again.

        Raises:
            Unavailable, FetchError: as `ImageFetcher.fetch`.
        """
        errand = _Errand(url, room, known, self._settings.timeout_seconds)
        location = _parse(url)
        for _ in range(self._settings.max_redirects + 1):
            check_location(url, location, self._settings.allow_networks)
            async with self._hosts.visit(host_name(location), url) as visit:
                answer = await self._in_room(errand, location, visit)
            if isinstance(answer, Fetched):
                return answer
            location, errand.known = answer, None
        raise FetchError(Reason.IMAGE_MISSING, f"{url}: more than {self._settings.max_redirects} redirects")

    async def _in_room(self, errand: _Errand, location: URL, visit: Visit) -> Fetched | URL:
        await errand.room.acquire()
        answer: Fetched | URL | None = None
        now = asyncio.get_running_loop().time
        began = now()
        try:
            answer = await self._ask(errand, location, visit)
        finally:
            errand.seconds_left -= now() - began
            if not isinstance(answer, Fetched):
                errand.room.release()
        return answer

    async def _ask(self, errand: _Errand, location: URL, visit: Visit) -> Fetched | URL:
        url = errand.url
        try:
            async with asyncio.timeout(max(0.0, errand.seconds_left)):
                return await self._exchange(errand, location, visit)
        except TimeoutError:
            raise Unavailable(f"{url}: no answer within {self._settings.timeout_seconds:g} s") from None
        except aiohttp.InvalidURL:
            raise _no_url(url) from None
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, ForbiddenAddress):
                raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: {error.__cause__}") from None
            raise Unavailable(f"{url}: {error}") from None
        except ValueError:  # a host name with an empty or too long label, a Location that is no URL
            raise _no_url(url) from None

    async def _exchange(self, errand: _Errand, location: URL, visit: Visit) -> Fetched | URL:
        assert self._session is not None, "used outside its context"
        url, known = errand.url, errand.known
        headers = {"If-None-Match": known.etag} if known else {}
        async with self._session.get(location, allow_redirects=False, headers=headers) as response:
            if response.status >= 500 or response.status in _PASSING:
                raise _failed(url, response)
            visit.answered = True
            if response.status in _REDIRECTS:
                return location.join(URL(response.headers.get("Location", "")))
            if response.status == 304 and known:
                return Fetched(b"", known.digest, known.etag, unchanged=True)
            if response.status != 200:
                raise _missing(url, response)
            return await self._body(url, response)

    async def _body(self, url: str, response: aiohttp.ClientResponse) -> Fetched:
        most = self._settings.max_bytes
        too_large = FetchError(Reason.IMAGE_TOO_LARGE, f"{url}: over {most} bytes")
        if (response.content_length or 0) > most:
            raise too_large
        body, sha256 = bytearray(), hashlib.sha256()
        async for chunk in response.content.iter_chunked(65536):
            body += chunk
            sha256.update(chunk)  # while it streams: a large picture's digest would hold up the loop
            if len(body) > most:
                raise too_large
        return Fetched(bytes(body), digest_of(sha256), _strong(response.headers.get("ETag")))

    async def __aenter__(self) -> Self:
        settings = self._settings
        connector = aiohttp.TCPConnector(
            limit=settings.connections,  # those of one host are limited by its turns
            resolver=GuardedResolver(settings.allow_networks, settings.timeout_seconds),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # ours is around all of it
            # A small compressed answer could unpack to anything, and the digest is of the file as it is.
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()


def host_name(location: URL) -> str:
    """What counts as one host: its name and port."""
    return f"{(location.raw_host or '').lower()}:{location.port}"


def retry_after(value: str | None, now: datetime) -> float:
    """Seconds that a `Retry-After` asks for, given in seconds or as a date; 0 if it says nothing."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def _failed(url: str, response: aiohttp.ClientResponse) -> FetchError:
    if response.status in _LASTING:
        return _missing(url, response)
    rest = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    return Unavailable(f"{url}: HTTP {response.status}", rest_seconds=rest)


def _missing(url: str, response: aiohttp.ClientResponse) -> FetchError:
    return FetchError(Reason.IMAGE_MISSING, f"{url}: HTTP {response.status}")


def _strong(etag: str | None) -> str | None:
    return etag if etag and _ETAG.fullmatch(etag) else None


def _parse(url: str) -> URL:
    try:
        return URL(url)
    except ValueError:
        raise _no_url(url) from None


def _no_url(url: str) -> FetchError:
    return FetchError(Reason.IMAGE_MISSING, f"{url}: not a valid URL")
