"""What a view shows of the canary. Every look returns None if it is as it should be, otherwise what was seen."""

from __future__ import annotations

from functools import partial

from indexer.points import read_payload
from indexer.store import Store
from schemas.canary import CANARY, is_canary
from schemas.payloads import Payload
from search.models import Hit, SearchRequest
from search.searcher import Searcher

_DEPTH = 10


class Sight:
    """One view, by id and by picture.

    Args:
        store: where the view is.
        view: its name.
        searcher: of this view, running; None if its model is not at hand.
    """

    def __init__(self, store: Store, view: str, searcher: Searcher | None) -> None:
        self.view = view
        self.searchable = searcher is not None
        self._store = store
        self._searcher = searcher

    async def version(self) -> int:
        """That of the canary, or of its tombstone; 0: there is none."""
        payload = await self._payload()
        return payload.version if payload else 0

    async def indexed(self, version: int) -> str | None:
        """It is there with its picture."""
        payload = await self._payload()
        if payload is None or payload.version != version or payload.deleted:
            return _otherwise(payload, version)
        if payload.encoded_images:
            return None
        return "its picture is not encoded: " + "; ".join(image.reason for image in payload.failed_images)

    async def updated(self, version: int, title: str) -> str | None:
        """It has its new title."""
        payload = await self._payload()
        if payload is None or payload.version != version or payload.deleted:
            return _otherwise(payload, version)
        return None if payload.title == title else f"its title is {payload.title!r}, not {title!r}"

    async def deleted(self, version: int) -> str | None:
        """It is a tombstone."""
        payload = await self._payload()
        if payload is not None and payload.version == version and payload.deleted:
            return None
        return _otherwise(payload, version)

    async def found(self, picture: bytes) -> str | None:
        """A shopper's search by its picture would have it first."""
        hits = await self._hits(picture)
        if hits and is_canary(hits[0].product_id):
            return None
        place = next((rank for rank, hit in enumerate(hits, 1) if is_canary(hit.product_id)), None)
        first = f"{hits[0].product_id!r} ({hits[0].score:.3f}) is found first" if hits else "nothing is found"
        return f"{first}, the canary is {f'number {place}' if place else f'not among the first {_DEPTH}'}"

    async def gone(self, picture: bytes) -> str | None:
        """A search by its picture doesn't have it."""
        found = next((hit for hit in await self._hits(picture) if is_canary(hit.product_id)), None)
        return f"it is still found, at version {found.version} ({found.score:.3f})" if found else None

    async def _payload(self) -> Payload | None:
        return await self._store.run(partial(read_payload, view=self.view, product_id=CANARY))

    async def _hits(self, picture: bytes) -> list[Hit]:
        assert self._searcher is not None
        answer = await self._searcher.search(SearchRequest(image=picture, limit=_DEPTH), canary=True)
        return answer.results


def _otherwise(payload: Payload | None, version: int) -> str:
    if payload is None:
        return "the view holds nothing of it"
    held = f"the view is at version {payload.version}{', deleted' if payload.deleted else ''}; {version} was published"
    return f"{held}: does another canary publish here?" if payload.version > version else held
