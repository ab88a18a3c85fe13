"""Fetching a product's pictures: bytes in hand, or the reason why not."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from yarl import URL

from schemas.dead_letters import Reason
from schemas.events import Image
from stream.batching import MicroBatcher

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_FILES = 16
"""Files that are read in one go: waking a thread costs more than reading a file."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class ImageSettings:
    """What may be fetched, and at what cost."""

    root: Path | None = None
    """`file:///` URLs are read below this folder, and nowhere if None."""
    allow_networks: tuple[IPNetwork, ...] = ()
    """Addresses that images may come from although they are not public."""
    max_bytes: int = 20_000_000
    timeout_seconds: float = 10.0
    """For one attempt, from the first look-up of the host's name to the last byte."""
    attempts: int = 3
    max_redirects: int = 3
    connections: int = 64
    connections_per_host: int = 16


@dataclass(frozen=True)
class Fetched:
    """A picture's bytes and their `sha256:…` digest."""

    data: bytes
    digest: str


class FetchError(Exception):
    """A picture that can't be had."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(FetchError):
    """A picture that may be had later: its host is slow, busy or away."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.IMAGE_UNAVAILABLE, message)


class ImageFetcher:
    """Fetches by http, https and `file:///`. An async context manager; safe to share between tasks."""

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings
        self._root = settings.root.resolve() if settings.root else None
        self._session: aiohttp.ClientSession | None = None
        self._files: MicroBatcher[str, Fetched | FetchError] = MicroBatcher(self._read_all, _FILES)

    async def fetch(self, image: Image) -> Fetched:
        """The picture's bytes.

        Raises:
            Unavailable: after the settings' attempts.
            FetchError: it is missing, forbidden, too large, or not the picture that its digest names.
        """
        if urlsplit(image.url).scheme == "file":
            fetched = await self._files.submit(image.url)
            if isinstance(fetched, FetchError):
                raise fetched
        else:
            fetched = await self._get_patiently(image.url)
        if image.digest and fetched.digest != image.digest:
            raise FetchError(Reason.IMAGE_DIGEST, f"{image.url}: the bytes are {fetched.digest}, not {image.digest}")
        return fetched

    async def _read_all(self, urls: Sequence[str]) -> list[Fetched | FetchError]:
        return await asyncio.to_thread(lambda: [self._read_or_fail(url) for url in urls])

    def _read_or_fail(self, url: str) -> Fetched | FetchError:
        try:
            return self._read(url)
        except FetchError as error:
            return error

    def _read(self, url: str) -> Fetched:
        if self._root is None:
            raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: files are not allowed (FRESHLINE_IMAGE_ROOT is not set)")
        try:
            path = Path(unquote(urlsplit(url).path)).resolve()  # links are followed before they are judged
            if not path.is_relative_to(self._root):
                raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: not below FRESHLINE_IMAGE_ROOT")
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device would never end
                raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: not a plain file")
            if status.st_size > self._settings.max_bytes:
                raise self._too_large(url)
            data = path.read_bytes()
            return Fetched(data, _digest(hashlib.sha256(data)))
        except (OSError, ValueError, RuntimeError) as error:  # also a NUL in the path, links in a ring
            raise FetchError(Reason.IMAGE_MISSING, f"{url}: {getattr(error, 'strerror', None) or error}") from None

    async def _get_patiently(self, url: str) -> Fetched:
        attempt = retry(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_attempt(self._settings.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        return await attempt(self._get)(url)

    async def _get(self, url: str) -> Fetched:
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await self._follow(url)
        except TimeoutError:
            raise Unavailable(f"{url}: no answer within {self._settings.timeout_seconds:g} s") from None
        except aiohttp.InvalidURL:
            raise FetchError(Reason.IMAGE_MISSING, f"{url}: not a valid URL") from None
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, _ForbiddenAddress):
                raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: {error.__cause__}") from None
            raise Unavailable(f"{url}: {error}") from None
        except ValueError:  # a host name with an empty or too long label, a Location that is no URL
            raise FetchError(Reason.IMAGE_MISSING, f"{url}: not a valid URL") from None

    async def _follow(self, url: str) -> Fetched:
        assert self._session is not None, "used outside its context"
        location = URL(url)
        for _ in range(self._settings.max_redirects + 1):
            self._check_literal(url, location)
            async with self._session.get(location, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._body(url, response)
                location = location.join(URL(response.headers.get("Location", "")))
            if location.scheme not in ("http", "https"):
                raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: redirects to {location}")
        raise FetchError(Reason.IMAGE_MISSING, f"{url}: more than {self._settings.max_redirects} redirects")

    def _check_literal(self, url: str, location: URL) -> None:
        """An address in place of a name never meets the resolver.

        It is judged as the connection will see it: `raw_host` has full-width digits and dots as ASCII.
        """
        try:
            address = _address(location.raw_host or "")
        except ValueError:
            return
        if not allowed(address, self._settings.allow_networks):
            raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: the address {address} is not public")

    async def _body(self, url: str, response: aiohttp.ClientResponse) -> Fetched:
        if response.status in _PASSING:
            raise Unavailable(f"{url}: HTTP {response.status}")
        if response.status != 200:
            raise FetchError(Reason.IMAGE_MISSING, f"{url}: HTTP {response.status}")
        body, sha256 = bytearray(), hashlib.sha256()
        async for chunk in response.content.iter_chunked(65536):
            body += chunk
            sha256.update(chunk)  # while it streams: a large picture's digest would hold up the loop
            if len(body) > self._settings.max_bytes:
                raise self._too_large(url)
        return Fetched(bytes(body), _digest(sha256))

    def _too_large(self, url: str) -> FetchError:
        return FetchError(Reason.IMAGE_TOO_LARGE, f"{url}: over {self._settings.max_bytes} bytes")

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=self._settings.connections,
            limit_per_host=self._settings.connections_per_host,
            resolver=_GuardedResolver(self._settings.allow_networks),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            # A small compressed answer could unpack to anything, and the digest is of the file as it is.
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        await self._files.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._files.__aexit__()
        await self._session.close()


class _ForbiddenAddress(OSError):
    """A host name that stands for an address that is not public."""


class _GuardedResolver(AbstractResolver):
    """Leaves out addresses that are not public. The connection goes to the very addresses that were checked."""

    def __init__(self, networks: Sequence[IPNetwork]) -> None:
        self._networks = networks
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)  # type: ignore[arg-type]  # aiohttp's own types differ
        public = [
            entry for entry in found if allowed(ipaddress.ip_address(entry["host"].split("%")[0]), self._networks)
        ]
        if found and not public:
            raise _ForbiddenAddress(f"the host {host} has no public address")
        return public

    async def close(self) -> None:
        await self._resolver.close()


def _digest(sha256: hashlib._Hash) -> str:
    return f"sha256:{sha256.hexdigest()}"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(host.split("%", maxsplit=1)[0])  # without an IPv6 zone


def allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Sequence[IPNetwork]) -> bool:
    """Whether a picture may come from this address: a public one, or one of `networks`."""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if any(address.version == network.version and address in network for network in networks):
        return True
    return address.is_global and not address.is_multicast
