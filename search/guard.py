"""Who may use the API: callers with a key, each as often as its rate allows."""

from __future__ import annotations

import math
import time
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from search.keys import Keys
from search.metrics import SearchMetrics
from search.problems import Problem
from search.requests import HOLDER

_BEARER = HTTPBearer(auto_error=False, description="an API key of this service (`freshline keys new`)")


class Guard:
    """A dependency of routes. Each service instance counts for itself.

    Args:
        keys: who may ask.
        rate: of a key that has none of its own; None: any.
        metrics: told of what is refused.
    """

    def __init__(self, keys: Keys, rate: RateLimitItem | None, metrics: SearchMetrics) -> None:
        self._keys = keys
        self._rate = rate
        self._metrics = metrics
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(
        self, request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> None:
        """Let the request pass.

        Raises:
            Problem: 401 without a key that is known, 429 when it comes too often.
        """
        holder = self._keys.holder(given.credentials) if given else None
        if holder is None:
            self._metrics.refused("key")
            what = "this key is not known" if given else "a key is needed: Authorization: Bearer KEY"
            raise Problem(401, "key-required", what, headers={"WWW-Authenticate": "Bearer"})
        request.scope[HOLDER] = holder.name
        rate = holder.rate or self._rate
        if rate is not None and not self._limiter.hit(rate, holder.name):
            self._metrics.refused("rate")
            seconds = self._limiter.get_window_stats(rate, holder.name).reset_time - time.time()
            wait = str(max(1, math.ceil(seconds)))
            raise Problem(429, "too-many-requests", f"this key may ask {rate}", headers={"Retry-After": wait})
