"""The view that is searched: the collection behind the alias and its model, followed while others switch it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog
from qdrant_client import QdrantClient

from indexer.collections import ViewError, find_view, space_of
from indexer.store import Store, is_outage
from search.model import Encoding, Encodings
from search.problems import Problem

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Served:
    """What is searched: a collection, and the model that its vectors are of."""

    name: str
    encoding: Encoding


class ViewMoved(Exception):
    """The collection is gone, and another one is served now: all that was done for the old one is to be done again."""


class ServingView:
    """What is searched now and, when that is not what it should be, why.

    A view is taken over only with its model ready; until then, and while its model can't be had, the one before goes on
    being searched, as long as its collection is there.

    Args:
        store: where the collections are.
        alias: followed unless `pinned` names a collection.
        pinned: a collection to stay on.
        encodings: the models.
    """

    def __init__(self, store: Store, *, alias: str, pinned: str | None, encodings: Encodings) -> None:
        self._store = store
        self._find = partial(find_view, alias=alias, view=pinned)
        self._encodings = encodings
        self._looking = asyncio.Lock()
        self.served: Served | None = None
        """None while nothing can be searched."""
        self.problem: str | None = "the view was not looked up yet"

    @property
    def name(self) -> str | None:
        """The collection that is searched."""
        return self.served.name if self.served else None

    async def refresh(self) -> None:
        """Look the view up. While Qdrant can't be reached the last one stays, not ready."""
        async with self._looking:  # one after the other: a slow look must not undo what a later one found
            await self._look()

    async def _look(self) -> None:
        before = (self.name, self.problem)
        try:
            name = await self._store.run(self._find)
            self.served, self.problem = Served(name, await self._encodings.of(space_of(name))), None
        except ViewError as error:
            self.problem = str(error)
            await self._let_go()
        except Exception as error:  # whatever it was, the next look must still come
            self.problem = "Qdrant does not answer" if is_outage(error) else f"looking up the view failed: {error}"
            _log.warning(self.problem, error=repr(error))
        if (self.name, self.problem) != before:
            _log.info("view", name=self.name, problem=self.problem)

    async def _let_go(self) -> None:
        """Of the last view, if it is gone too."""
        if self.served is None:
            return
        name = self.served.name
        with suppress(Exception):  # Qdrant is away again: it stays
            if not await self._store.run(lambda client: client.collection_exists(name)):
                self.served = None

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

    def require(self) -> Served:
        """What to query.

        Raises:
            Problem: 503, there is nothing.
        """
        if self.served is None:
            raise self.unavailable()
        return self.served

    def unavailable(self) -> Problem:
        """The answer while nothing can be searched."""
        return Problem(503, "view-unavailable", self.problem or "Qdrant does not answer", headers={"Retry-After": "5"})

    async def run(self, operation: Callable[[QdrantClient, str], T]) -> tuple[str, T]:
        """Call `operation`, which needs no model, with the client and the view's name; the name and the result.

        Raises:
            Problem: 503, when there is no view or Qdrant does not answer.
        """
        while True:
            served = self.require()
            with suppress(ViewMoved):
                return served.name, await self.ask(served, operation)

    async def ask(self, served: Served, operation: Callable[[QdrantClient, str], T]) -> T:
        """Call `operation` with the client and the name of that view, and of no other.

        Raises:
            ViewMoved: begin again with what is required now.
            Problem: 503, when there is no view any more or Qdrant does not answer.
        """
        try:
            return await self._store.run(lambda client: operation(client, served.name))
        except Exception as error:
            if is_outage(error):
                raise self.unavailable() from error
            # The alias may have been switched and the old collection dropped: once more if there is another view now.
            if self.served is served:  # otherwise somebody else found out before
                await self.refresh()
            if self.name == served.name:
                raise
        self.require()
        raise ViewMoved
