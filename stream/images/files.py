"""Pictures of `file:///` URLs, below one folder: read by the handful, and not waited for if the disk hangs."""

from __future__ import annotations

import errno
import hashlib
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from schemas.dead_letters import Reason
from stream.batching import MicroBatcher
from stream.images.breaker import Breaker, BreakerSettings
from stream.images.fetched import Fetched, FetchError, Room, Unavailable, digest_of
from stream.images.host import Host
from stream.images.threads import PatientThreads

_AT_ONCE = 16
"""Files that are read in one go: waking a thread costs more than reading a file."""
_THREADS = 8
# What will be no different later. Any other error is the file system's, and may pass.
_LASTING = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR}
)

_Result = Fetched | Exception


class FileReader:
    """Reads below `root`, and nowhere if it is None. An async context manager."""

    def __init__(self, root: Path | None, max_bytes: int, timeout_seconds: float, at_once: int) -> None:
        self._root = root.resolve() if root else None
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._threads = PatientThreads(_THREADS, "read")
        self._batches: MicroBatcher[str, _Result] = MicroBatcher(self._read_all, _AT_ONCE, at_once=2)
        self._host = Host("the disk", at_once, Breaker(BreakerSettings()), lambda: None)

    async def read(self, url: str, room: Room) -> Fetched:
        """The file's bytes; `room` is taken, and kept for the caller when they are had.

        Raises:
            Unavailable: the disk hangs or fails.
            FetchError: the file is missing, forbidden, or too large.
        """
        if self._root is None:
            raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: files are not allowed (FRESHLINE_IMAGE_ROOT is not set)")
        async with self._host.visit(url) as visit:
            await room.acquire()
            result: _Result | None = None
            try:
                result = await self._batches.submit(url)
            finally:
                if not isinstance(result, Fetched):
                    room.release()
            visit.answered = not isinstance(result, Unavailable)
            if isinstance(result, Exception):
                raise result
            return result

    async def _read_all(self, urls: Sequence[str]) -> list[_Result]:
        results: list[_Result] = []
        while len(results) < len(urls):  # more than once only if one hangs: the others are read by another thread
            results += await self._read_some(urls[len(results) :])
        return results

    async def _read_some(self, urls: Sequence[str]) -> list[_Result]:
        results: list[_Result] = []
        try:
            await self._threads.run(partial(self._read_into, results, urls), self._timeout_seconds)
        except TimeoutError:
            done = list(results)
            hangs = Unavailable(f"{urls[len(done)]}: not read within {self._timeout_seconds:g} s")
            return [*done, hangs] if len(done) < len(urls) else done
        return results

    def _read_into(self, results: list[_Result], urls: Sequence[str]) -> None:
        for url in urls:
            try:
                results.append(self._read(url))
            except Exception as error:  # its neighbours must not fail with it
                results.append(error)

    def _read(self, url: str) -> Fetched:
        assert self._root is not None
        try:
            path = Path(unquote(urlsplit(url).path)).resolve()  # links are followed before they are judged
            if not path.is_relative_to(self._root):
                raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: not below FRESHLINE_IMAGE_ROOT")
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device would never end
                raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: not a plain file")
            if status.st_size > self._max_bytes:
                raise FetchError(Reason.IMAGE_TOO_LARGE, f"{url}: over {self._max_bytes} bytes")
            data = path.read_bytes()
        except (OSError, ValueError, RuntimeError) as error:  # also a NUL in the path, links in a ring
            raise self._trouble(url, error) from None
        return Fetched(data, digest_of(hashlib.sha256(data)))

    def _trouble(self, url: str, error: Exception) -> FetchError:
        assert self._root is not None
        message = f"{url}: {getattr(error, 'strerror', None) or error}"
        if isinstance(error, OSError) and error.errno not in _LASTING:
            return Unavailable(message)
        if not self._root.is_dir():
            return Unavailable(f"{url}: FRESHLINE_IMAGE_ROOT is not there")
        return FetchError(Reason.IMAGE_MISSING, message)

    async def __aenter__(self) -> Self:
        await self._batches.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._batches.__aexit__()
        self._threads.close()
