"""What comes of fetching a picture: its bytes, or the reason why not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from schemas.dead_letters import Reason


@dataclass(frozen=True)
class Known:
    """A picture that was had before: what its host called it, and the digest of its bytes."""

    etag: str
    digest: str


@dataclass(frozen=True)
class Fetched:
    """A picture's bytes and their `sha256:…` digest."""

    data: bytes
    digest: str
    etag: str | None = None
    """The host's own name for these bytes, if it gave a strong one."""
    unchanged: bool = False
    """The picture is still the one that was known; `data` is empty."""


class FetchError(Exception):
    """A picture that can't be had."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(FetchError):
    """A picture that may be had later: its host is slow, busy or away."""

    def __init__(self, message: str, *, rest_seconds: float = 0.0) -> None:
        super().__init__(Reason.IMAGE_UNAVAILABLE, message)
        self.rest_seconds = rest_seconds
        """How long the host asked to be left alone."""


class Refused(Unavailable):
    """Not even tried: the host is ill, and is left alone for a while."""


class Room(Protocol):
    """What bounds the pictures in memory, such as an `asyncio.Semaphore`."""

    async def acquire(self) -> object:
        """Wait for a place."""

    def release(self) -> None:
        """Give it back."""


def digest_of(sha256: hashlib._Hash) -> str:
    """As events and payloads spell it."""
    return f"sha256:{sha256.hexdigest()}"
