"""Fetching a product's pictures: bytes in hand, or the reason why not."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential
from yarl import URL

from schemas.dead_letters import Reason
from schemas.events import Image
from stream.health import Health
from stream.images.addresses import IPNetwork, allowed
from stream.images.breaker import BreakerSettings
from stream.images.download import Downloader, DownloadSettings, host_name
from stream.images.fetched import Fetched, FetchError, Known, Room, Unavailable
from stream.images.files import FileReader
from stream.images.host import Host
from stream.images.hosts import Hosts, HostSettings
from stream.images.outage import ride_out

__all__ = ["FetchError", "Fetched", "ImageFetcher", "ImageSettings", "Known", "Unavailable", "allowed"]


@dataclass(frozen=True)
class ImageSettings:
    """What may be fetched, and at what cost."""

    root: Path | None = None
    """`file:///` URLs are read below this folder, and nowhere if None."""
    allow_networks: tuple[IPNetwork, ...] = ()
    """Addresses that images may come from although they are not public."""
    max_bytes: int = 20_000_000
    timeout_seconds: float = 10.0
    """For one attempt, from the first look-up of the host's name to the last byte; waiting for a turn not counted."""
    attempts: int = 3
    max_redirects: int = 3
    connections: int = 64
    connections_per_host: int = 16
    breaker: BreakerSettings = field(default_factory=BreakerSettings)


class ImageFetcher:
    """Fetches by http, https and `file:///`. An async context manager; safe to share between tasks.

    Args:
        settings: the bounds.
        health: told while pictures are held because most hosts are away.
    """

    def __init__(self, settings: ImageSettings, health: Health | None = None) -> None:
        self._attempts = settings.attempts
        self._health = health or Health()
        self._hosts = Hosts(_host_settings(settings))
        self._health.add_queue(self._hosts.are_queued)
        self._downloader = Downloader(_download_settings(settings), self._hosts)
        self._files = FileReader(settings.root, settings.max_bytes, settings.timeout_seconds, settings.connections)
        self._own_room = asyncio.Semaphore(settings.connections)
        self._exits = AsyncExitStack()

    async def fetch(self, image: Image, room: Room | None = None, known: Known | None = None) -> Fetched:
        """The picture's bytes. Waits for its host's turn, for ever if need be; the deadline is of the transfer alone.

        Args:
            image: the picture.
            room: is taken once the host's turn came, and kept for the caller to release when the picture is had.
            known: what is known of it already, so that its host may say that it is unchanged.

        Raises:
            Unavailable: after the settings' attempts, or at once while its host is ill.
            FetchError: it is missing, forbidden, too large, or not the picture that its digest names.
        """
        if room is None:
            fetched = await self._fetch(image, self._own_room, known)
            self._own_room.release()
        else:
            fetched = await self._fetch(image, room, known)
        if image.digest and fetched.digest != image.digest:
            if room is not None:
                room.release()
            raise FetchError(Reason.IMAGE_DIGEST, f"{image.url}: the bytes are {fetched.digest}, not {image.digest}")
        return fetched

    async def _fetch(self, image: Image, room: Room, known: Known | None) -> Fetched:
        if image.url[:5].lower() == "file:":
            return await self._files.read(image.url, room)
        host = self._hosts.named(_host_of(image.url))
        return await ride_out(
            lambda: self._get_patiently(host, image.url, room, known), host, self._hosts, self._health
        )

    async def _get_patiently(self, host: Host, url: str, room: Room, known: Known | None) -> Fetched:
        attempt = retry(
            retry=retry_if_exception(lambda error: isinstance(error, Unavailable) and not host.breaker.is_open),
            stop=stop_after_attempt(self._attempts),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        return await attempt(self._downloader.get)(url, room, known)

    async def __aenter__(self) -> Self:
        await self._exits.enter_async_context(self._downloader)
        await self._exits.enter_async_context(self._files)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()


def _host_of(url: str) -> str:
    try:
        return host_name(URL(url))
    except ValueError:
        raise FetchError(Reason.IMAGE_MISSING, f"{url}: not a valid URL") from None


def _host_settings(settings: ImageSettings) -> HostSettings:
    strangers = max(1, settings.connections // 2)
    return HostSettings(settings.connections_per_host, strangers_at_once=strangers, breaker=settings.breaker)


def _download_settings(settings: ImageSettings) -> DownloadSettings:
    return DownloadSettings(
        allow_networks=settings.allow_networks,
        max_bytes=settings.max_bytes,
        timeout_seconds=settings.timeout_seconds,
        max_redirects=settings.max_redirects,
        connections=settings.connections,
    )
