"""Sweeping a view's tombstones now and then, beside the worker."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import structlog
from qdrant_client import QdrantClient
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from indexer.store import Store, is_outage
from indexer.tombstones import sweep_some

log = structlog.get_logger(__name__)


class Sweeper:
    """Removes tombstones older than `retention`. Workers of one view may all have one: sweeping twice does no harm."""

    def __init__(self, store: Store, view: str, retention: timedelta, interval: timedelta = timedelta(hours=1)) -> None:
        self._store = store
        self._view = view
        self._retention = retention
        self._interval = interval

    async def run(self) -> None:
        """Sweep about once an interval until cancelled, at moments that other workers don't share."""
        while True:
            await asyncio.sleep(self._interval.total_seconds() * random.uniform(0.5, 1.5))  # noqa: S311 (no secret)
            try:
                await self.sweep()
            except Exception as error:  # a worker indexes on, swept or not; the next round may do better
                log.warning("tombstones not swept", view=self._view, error=repr(error))

    async def sweep(self) -> int:
        """Remove what is old enough by now; how many tombstones went. Waits while Qdrant is away."""
        before = datetime.now(UTC) - self._retention
        swept = 0
        while (gone := await self._patiently(before)) is not None:
            swept += gone
        if swept:
            log.info("tombstones swept", view=self._view, count=swept, before=before.isoformat())
        return swept

    async def _patiently(self, before: datetime) -> int | None:
        def step(client: QdrantClient) -> int | None:
            return sweep_some(client, self._view, before)

        async def attempt() -> int | None:
            return await self._store.run(step)

        hold = AsyncRetrying(
            retry=retry_if_exception(is_outage),
            wait=wait_exponential_jitter(initial=1, max=300),
            before_sleep=_log_outage,
            reraise=True,
        )
        return await hold(attempt)


def _log_outage(state: RetryCallState) -> None:
    log.info("Qdrant is away, sweeping later", attempt=state.attempt_number)
