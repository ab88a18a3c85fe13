"""One Qdrant client on threads of its own, so that no call ever blocks the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

T = TypeVar("T")

LOCAL = ":memory:"

# Accept no compression: the server would gzip each answer, twenty times the work of reading the vectors in it.
_UNCOMPRESSED = {"grpc.compression_enabled_algorithms_bitset": 1}
_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        # The server answers so while it starts, loses quorum or has no room on its disk.
        grpc.StatusCode.INTERNAL,
    }
)
_UNUSABLE = frozenset(
    {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class IndexUnusable(RuntimeError):
    """Qdrant answers, but not to us: the collection is gone or the key is refused. No event is to blame for that."""


@dataclass(frozen=True)
class QdrantSettings:
    """Where Qdrant is. `url` ":memory:" is the client's local mode, for the embedded stack."""

    url: str = "http://127.0.0.1:6333"
    api_key: str | None = field(default=None, repr=False)
    grpc_port: int = 6334
    timeout_seconds: int = 30
    threads: int = 4


class Store:
    """A Qdrant client and the threads that it is called on. Safe to share between tasks."""

    def __init__(self, settings: QdrantSettings) -> None:
        local = settings.url == LOCAL
        # Local mode is one SQLite-like object: it must be called from one thread at a time.
        self._threads = ThreadPoolExecutor(1 if local else settings.threads, thread_name_prefix="qdrant")
        self._client = self._threads.submit(_connect, settings).result()

    async def run(self, operation: Callable[[QdrantClient], T]) -> T:
        """Call `operation` with the client on one of the store's threads; its exceptions are raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, operation, self._client)

    def run_sync(self, operation: Callable[[QdrantClient], T]) -> T:
        """Like `run`, for code without an event loop (command line, tests)."""
        return self._threads.submit(operation, self._client).result()

    def close(self) -> None:
        """Wait for the calls in progress and close the connection."""
        self._threads.submit(self._client.close).result()
        self._threads.shutdown()


def _connect(settings: QdrantSettings) -> QdrantClient:
    if settings.url == LOCAL:
        return QdrantClient(location=LOCAL)
    return QdrantClient(
        url=settings.url,
        api_key=settings.api_key,
        grpc_port=settings.grpc_port,
        prefer_grpc=True,
        grpc_options=dict(_UNCOMPRESSED),  # which the client adds to
        timeout=settings.timeout_seconds,
        # The local stack's server is the newest that can be had as a package, older than the client allows for.
        check_compatibility=False,
    )


def is_outage(error: BaseException) -> bool:
    """Whether Qdrant is away or overloaded, so that the same request may succeed later."""
    if isinstance(error, grpc.RpcError):
        return error.code() in _PASSING
    if isinstance(error, UnexpectedResponse):
        return error.status_code is not None and (error.status_code >= 500 or error.status_code == 429)
    return isinstance(error, ResponseHandlingException | ResourceExhaustedResponse)


def is_refusal(error: BaseException) -> bool:
    """Whether every request of ours would be refused, whatever is in it."""
    if isinstance(error, grpc.RpcError):
        return error.code() in _UNUSABLE
    return isinstance(error, UnexpectedResponse) and error.status_code in (401, 403, 404)
