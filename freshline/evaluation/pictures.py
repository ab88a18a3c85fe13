"""The pictures of what was found, under the same rules as a worker's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from freshline.evaluation.sheet import Fetch
from freshline.settings import Settings
from schemas.events import Image
from stream.images.fetcher import FetchError, ImageFetcher


@asynccontextmanager
async def fetching(settings: Settings, *, everywhere: bool) -> AsyncIterator[Fetch]:
    """What reads pictures by their URLs; files from `everywhere` only where the user named each of them."""
    limits = settings.images()
    async with ImageFetcher(replace(limits, root=Path("/")) if everywhere else limits) as fetcher:

        async def fetch(url: str) -> bytes | None:
            try:
                return (await fetcher.fetch(Image(url=url))).data
            except FetchError:
                return None

        yield fetch
