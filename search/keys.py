"""API keys: who may ask, and how often. A file has a line for each: its name, the SHA-256 of the key, a rate."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import structlog
from limits import RateLimitItem, parse

_log = structlog.get_logger(__name__)

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LOOK_SECONDS = 1.0


class KeyFileError(ValueError):
    """A key file that can't be used; the message names the file and the line."""


@dataclass(frozen=True)
class Holder:
    """Who has a key. `rate` is for example `100 per second`; None: the service's."""

    name: str
    rate: RateLimitItem | None = None


def rate_of(text: str) -> RateLimitItem:
    """A rate such as `100/second`, `5000 per 10 minutes`.

    Raises:
        ValueError: it is none.
    """
    return parse(text)


def new_key(name: str, rate: str | None = None) -> tuple[str, str]:
    """A key that can't be guessed (256 random bits), and its line for the file, from which the key can't be had.

    Raises:
        ValueError: the name or the rate is none.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: letters, digits, dots, hyphens and underscores, 64 at most")
    if rate is not None:
        rate_of(rate)
    key = f"fl_{secrets.token_urlsafe(32)}"
    return key, " ".join([name, _digest(key), *([rate] if rate else [])])


def read_keys(path: Path) -> dict[str, Holder]:
    """Holders by the digest of their keys. Empty lines and those that begin with `#` are left out.

    Raises:
        KeyFileError: the file can't be read, or a line is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: {error}") from None
    holders: dict[str, Holder] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            try:
                digest, holder = _parsed(line)
            except ValueError as error:
                raise KeyFileError(f"{path}, line {number}: {error}") from None
            holders[digest] = holder
    return holders


def _parsed(line: str) -> tuple[str, Holder]:
    name, digest, rate = [*line.split(maxsplit=2), "", ""][:3]
    if not NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
        raise ValueError("not a name, the SHA-256 of a key, and perhaps a rate (freshline keys new makes such lines)")
    return digest, Holder(name, rate_of(rate) if rate else None)


def _digest(key: str) -> str:
    # Nothing slower is needed: unlike a password a key is random, so that nobody can try the likely ones.
    return hashlib.sha256(key.encode()).hexdigest()


class Keys:
    """A key file that is followed: who was added or struck out counts within a second.

    Raises:
        KeyFileError: at the start. A file that gets unreadable later leaves all as it was, and is logged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._holders = read_keys(path)
        self._next_look = time.monotonic() + _LOOK_SECONDS

    def holder(self, key: str) -> Holder | None:
        """Whose key this is, if it is one."""
        if (now := time.monotonic()) >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            self._look()
        return self._holders.get(_digest(key))

    def _look(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._holders = read_keys(self._path)
        except KeyFileError as error:
            _log.error("the keys stay as they were", error=str(error))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with the file's content."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
