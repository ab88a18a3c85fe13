"""The view that is searched: the collection behind the alias, followed while others switch it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import structlog
from qdrant_client import QdrantClient

from indexer.collections import ViewError, resolve_view
from indexer.store import Store, is_outage
from search.problems import Problem

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class ServingView:
    """The collection to query and, when there is none that fits the bundle, why.

    Args:
        store: where the collections are.
        alias: followed unless `pinned` names a collection.
        pinned: a collection to stay on.
        space: of the loaded bundle; a view of any other space is refused.
    """

    def __init__(self, store: Store, *, alias: str, pinned: str | None, space: str) -> None:
        self._store = store
        self._resolve = lambda client: resolve_view(client, alias, pinned, space)
        self.name: str | None = None
        self.problem: str | None = "the view was not looked up yet"

    async def refresh(self) -> None:
        """Look the view up. While Qdrant can't be reached the last one stays, not ready."""
        before = (self.name, self.problem)
        try:
            self.name, self.problem = await self._store.run(self._resolve), None
        except ViewError as error:
            self.name, self.problem = None, str(error)
        except Exception as error:  # whatever it was, the next look must still come
            self.problem = "Qdrant does not answer" if is_outage(error) else "looking up the view failed"
            _log.warning(self.problem, error=repr(error))
        if (self.name, self.problem) != before:
            _log.info("view", name=self.name, problem=self.problem)

    @asynccontextmanager
    async def following(self, seconds: float) -> AsyncIterator[None]:
        """Look the view up now, and every `seconds` in the background."""
        await self.refresh()
        task = asyncio.create_task(self._follow(seconds))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self.refresh()

    def require(self) -> str:
        """The collection to query.

        Raises:
            Problem: 503, there is none.
        """
        if self.name is None:
            raise self.unavailable()
        return self.name

    def unavailable(self) -> Problem:
        """The answer while nothing can be searched."""
        return Problem(503, "view-unavailable", self.problem or "Qdrant does not answer", headers={"Retry-After": "5"})

    async def run(self, operation: Callable[[QdrantClient, str], T]) -> tuple[str, T]:
        """Call `operation` with the client and the view's name; returns the name and the result.

        Raises:
            Problem: 503, when there is no view or Qdrant does not answer.
        """
        name = self.require()
        try:
            return name, await self._store.run(lambda client: operation(client, name))
        except Exception as error:
            if is_outage(error):
                raise self.unavailable() from error
            # The alias may have been switched and the old collection dropped: once more if there is another view now.
            await self.refresh()
            if self.name == name:
                raise
        return await self.run(operation)
