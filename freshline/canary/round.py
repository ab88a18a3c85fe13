"""One round: listed, found, changed, withdrawn, not found any more, in all views at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from freshline.canary.events import Versions, listing, title_of, withdrawal
from freshline.canary.passage import Passage
from freshline.canary.pictures import Place, draw
from schemas.events import Event
from stream.publisher import Publisher

_LEAVING_SECONDS = 5.0


class Round:
    """Runs once.

    Args:
        publisher: to the topic that all views are made from.
        place: for the picture.
        versions: of the canary's events.
        passages: one for each view.
        deadline_seconds: for the broker to take an event.
    """

    def __init__(
        self,
        publisher: Publisher,
        place: Place,
        versions: Versions,
        passages: Sequence[Passage],
        deadline_seconds: float,
    ) -> None:
        self._publisher = publisher
        self._place = place
        self._versions = versions
        self._passages = passages
        self._deadline = deadline_seconds

    async def run(self, above: int) -> None:
        """To the end, whatever fails on the way; the product is withdrawn in any case.

        Args:
            above: the highest version of the canary that a view holds.
        """
        picture = await asyncio.to_thread(draw)
        try:
            await self._list(picture, self._versions.next(above))
        except BaseException:  # stopped in the middle, or a fault of ours
            await self._publish(withdrawal(self._versions.next()), _LEAVING_SECONDS)
            raise
        await self._withdraw(picture, self._versions.next())

    async def _list(self, picture: bytes, version: int) -> None:
        try:
            url = await asyncio.to_thread(self._place.put, picture, version)
        except OSError as error:
            self._fail(f"the picture can't be written: {error}")
            return
        since = time.monotonic()
        if not await self._publish(listing("created", version, url), self._deadline):
            return
        published = time.monotonic() - since
        for passage in self._passages:
            passage.took("published", published)
        await self._each(partial(_arrive, picture=picture, version=version, since=since))
        if not all(passage.failed_step for passage in self._passages):
            await self._change(url, self._versions.next())

    async def _change(self, url: str, version: int) -> None:
        since = time.monotonic()
        if await self._publish(listing("updated", version, url), self._deadline):
            await self._each(partial(_update, version=version, since=since))

    async def _withdraw(self, picture: bytes, version: int) -> None:
        since = time.monotonic()
        if await self._publish(withdrawal(version), self._deadline):
            await self._each(partial(_leave, picture=picture, version=version, since=since))

    async def _publish(self, event: Event, timeout_seconds: float) -> bool:
        """Whether the broker has it; if not, the round has failed in all views."""
        try:
            self._publisher.publish(event)
            await asyncio.to_thread(self._publisher.flush, timeout_seconds)
        except Exception as error:  # a broker that refuses is what the canary is for, like one that is away
            self._fail(f"{event.type}: {error}")
            return False
        return True

    def _fail(self, message: str) -> None:
        for passage in self._passages:
            passage.fail("published", message)

    async def _each(self, way: Callable[[Passage], Awaitable[None]]) -> None:
        await asyncio.gather(*(way(passage) for passage in self._passages))


async def _arrive(passage: Passage, *, picture: bytes, version: int, since: float) -> None:
    await passage.step("indexed", partial(passage.sight.indexed, version), since=since)
    if passage.sight.searchable:
        await passage.step("found", partial(passage.sight.found, picture))


async def _update(passage: Passage, *, version: int, since: float) -> None:
    title = title_of("updated", version)
    await passage.step("updated", partial(passage.sight.updated, version, title), since=since)


async def _leave(passage: Passage, *, picture: bytes, version: int, since: float) -> None:
    await passage.step("deleted", partial(passage.sight.deleted, version), since=since)
    if passage.sight.searchable:
        await passage.step("gone", partial(passage.sight.gone, picture))
