"""Waiting until something is so, but not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from qdrant_client import QdrantClient, models
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

from freshline.bench.errors import BenchError

INDEX_SECONDS = 3600.0

T = TypeVar("T")


class TooLate(BenchError):
    """It did not come to be; the message says what."""


def awaited(check: Callable[[], T | None], seconds: float, otherwise: str) -> T:
    """The first true answer.

    Raises:
        TooLate: there was none in so many seconds.
    """

    def too_late(_: RetryCallState) -> None:
        raise TooLate(f"{otherwise} within {seconds:.0f} s")

    patiently = Retrying(
        retry=retry_if_result(lambda answer: not answer),
        wait=wait_fixed(0.2),
        stop=stop_after_delay(seconds),
        retry_error_callback=too_late,
    )
    answer = patiently(check)
    assert answer is not None
    return answer


def await_green(client: QdrantClient, view: str) -> None:
    """Return when Qdrant has nothing left to optimise.

    Raises:
        TooLate: in an hour.
    """

    def done() -> bool:
        return client.get_collection(view).status == models.CollectionStatus.GREEN

    time.sleep(1)  # it notices what was written a moment later
    awaited(done, INDEX_SECONDS, "Qdrant did not build its index")
