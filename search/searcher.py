"""One search from the picture's bytes, or words, to the products."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import numpy as np
from qdrant_client import QdrantClient

from encoders.batcher import Batcher, Pixels, Vectors
from encoders.pixels import ImageError, decode
from indexer.store import Store
from schemas.bundles import Manifest
from schemas.dead_letters import Reason
from search.filters import filter_of
from search.metrics import SearchMetrics
from search.models import Hit, SearchRequest, SearchResponse
from search.problems import Problem
from search.query import nearest, similar
from search.settings import SearchSettings
from search.view import ServingView

T = TypeVar("T")
EncodeText = Callable[[Sequence[str]], Vectors]


class Searcher:
    """Searches one view with one model.

    Args:
        store: where the view is.
        manifest: of the model's bundle.
        encode: uint8 (n, size, size, 3) to float32 (n, dimension), called in one thread at a time.
        settings: the view, and the limits of a request.
        metrics: where each stage's time goes.
        encode_text: n texts to float32 (n, dimension) in the pictures' space, where the bundle has a text tower.
    """

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        encode: Callable[[Pixels], Vectors],
        settings: SearchSettings,
        metrics: SearchMetrics,
        *,
        encode_text: EncodeText | None = None,
    ) -> None:
        self.bundle = f"{manifest.name}@{manifest.revision}"
        self.view = ServingView(store, alias=settings.alias, pinned=settings.view, space=manifest.space)
        self._settings = settings
        self._metrics = metrics
        self._encode_text = encode_text
        self._decode = partial(decode, size=manifest.input_size, resize=manifest.resize)
        self._threads = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="prepare")
        self._batcher = Batcher(
            encode,
            max_size=settings.encode_batch,
            max_wait=settings.encode_wait_seconds,
            on_batch=lambda size, seconds: metrics.encoded(size / settings.encode_batch),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the view and take pictures; once."""
        try:
            async with self._batcher, self.view.following(self._settings.refresh_seconds):
                yield
        finally:
            self._threads.shutdown()

    async def search(self, request: SearchRequest, *, canary: bool = False) -> SearchResponse:
        """The products most similar to the request's picture, its words, or both; `canary`: that one too.

        Raises:
            Problem: 415 or 422 for what is no picture, 422 for text that the bundle can't read, 503 while there is no
                view.
        """
        started = time.perf_counter()
        self.view.require()  # before work is spent on the picture
        vector = await self._vector(request)
        matching = filter_of(request, canary=canary)
        find = partial(nearest, vectors=[vector.tolist()], limit=request.limit, matching=matching)
        view, hits = await self._query(partial(find, hnsw_ef=self._settings.hnsw_ef))
        return self._response(view, hits, started)

    async def similar(self, product_id: str, limit: int) -> SearchResponse:
        """The products most similar to one that is in the index.

        Raises:
            Problem: 404 if it isn't, or has no pictures there; 503 while there is no view.
        """
        started = time.perf_counter()
        find = partial(similar, product_id=product_id, limit=limit, hnsw_ef=self._settings.hnsw_ef)
        view, hits = await self._query(find)
        if hits is None:
            raise Problem(404, "product-not-found", f"the index holds no pictures of a product {product_id!r}")
        return self._response(view, hits, started)

    async def pixels(self, image: bytes) -> Pixels:
        """The picture as the model sees it.

        Raises:
            Problem: 415 or 422 for what is no picture.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._decode, image)
        except ImageError as error:
            status = 415 if error.reason == Reason.IMAGE_UNSUPPORTED else 422
            raise Problem(status, "image-refused", f"image: {error}", reason=error.reason) from None

    async def _vector(self, request: SearchRequest) -> Vectors:
        """What is asked for, float32 (dimension,); cosines to it are ranked as the two cosines' weighted sum."""
        if not request.text:
            return await self._picture(request.image or b"")
        words = await self._words(request.text)
        if not request.image:
            return words
        picture = await self._picture(request.image)
        both = (1 - request.text_weight) * picture + request.text_weight * words
        blended: Vectors = (both / max(float(np.linalg.norm(both)), 1e-12)).astype(np.float32)
        return blended

    async def _words(self, text: str) -> Vectors:
        if self._encode_text is None:
            raise Problem(422, "text-unsupported", f"the bundle {self.bundle} has no text tower: search by image")
        with self._metrics.stage("words"):
            vectors = await asyncio.get_running_loop().run_in_executor(self._threads, self._encode_text, [text])
        vector: Vectors = vectors[0]
        return vector

    async def _picture(self, image: bytes) -> Vectors:
        with self._metrics.stage("decode"):
            pixels = await self.pixels(image)
        with self._metrics.stage("encode"):
            return await self._batcher.encode(pixels)

    async def _query(self, operation: Callable[[QdrantClient, str], T]) -> tuple[str, T]:
        with self._metrics.stage("query"):
            return await self.view.run(operation)

    def _response(self, view: str, hits: list[Hit], started: float) -> SearchResponse:
        seconds = time.perf_counter() - started
        self._metrics.answered(seconds)
        return SearchResponse(results=hits, took_ms=round(seconds * 1000, 3), view=view, bundle=self.bundle)
