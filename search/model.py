"""Models at work: what turns pictures and words into vectors, one for each space that views are of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Self

from encoders.batcher import Batcher, Pixels, Vectors
from encoders.pixels import ImageError, decode
from indexer.collections import ViewError
from schemas.bundles import Manifest
from schemas.dead_letters import Reason
from search.metrics import SearchMetrics
from search.problems import Problem
from search.settings import SearchSettings

EncodeText = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Model:
    """A bundle, ready to be used.

    Args:
        manifest: of the bundle.
        encode: uint8 (n, size, size, 3) to float32 (n, dimension), called in one thread at a time.
        encode_text: n texts to float32 (n, dimension) in the pictures' space, where the bundle has a text tower.
    """

    manifest: Manifest
    encode: Callable[[Pixels], Vectors]
    encode_text: EncodeText | None = None


Models = Callable[[str], Model]
"""From a space to its model; called in a thread, since loading one takes time. ViewError: there is none to be had."""


class Encoding:
    """One model at work: pictures are decoded in threads, and encoded in batches."""

    def __init__(self, model: Model, settings: SearchSettings, metrics: SearchMetrics, threads: Executor) -> None:
        manifest = model.manifest
        self.space = manifest.space
        self.bundle = f"{manifest.name}@{manifest.revision}"
        self._metrics, self._threads, self._encode_text = metrics, threads, model.encode_text
        self._decode = partial(decode, size=manifest.input_size, resize=manifest.resize)
        self.batcher = Batcher(
            model.encode,
            max_size=settings.encode_batch,
            max_wait=settings.encode_wait_seconds,
            on_batch=lambda size, seconds: metrics.encoded(size / settings.encode_batch),
        )

    @property
    def reads(self) -> bool:
        """Whether it has a text tower."""
        return self._encode_text is not None

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

    async def picture(self, image: bytes) -> Vectors:
        """A picture's vector, float32 (dimension,); raises as `pixels`."""
        with self._metrics.stage("decode"):
            pixels = await self.pixels(image)
        with self._metrics.stage("encode"):
            return await self.batcher.encode(pixels)

    async def words(self, text: str) -> Vectors:
        """The vector of some words, float32 (dimension,).

        Raises:
            Problem: 422, the bundle can't read.
        """
        if self._encode_text is None:
            raise Problem(422, "text-unsupported", f"the bundle {self.bundle} has no text tower: search by image")
        with self._metrics.stage("words"):
            vectors = await asyncio.get_running_loop().run_in_executor(self._threads, self._encode_text, [text])
        vector: Vectors = vectors[0]
        return vector


class Encodings:
    """Every model that a view has been of since the start, the first one from the beginning. An async context manager.

    They are kept: after a switch somebody may still be searching with the old one, and there may be a way back.
    """

    def __init__(self, first: Encoding, load: Callable[[str], Encoding]) -> None:
        self._load = load
        self._by_space = {first.space: first}
        self._loading = asyncio.Lock()

    async def of(self, space: str) -> Encoding:
        """The one of a space, loaded and running.

        Raises:
            ViewError: none is known, or it can't be loaded.
        """
        async with self._loading:
            if space not in self._by_space:
                encoding = await asyncio.to_thread(self._load, space)
                await encoding.batcher.start()
                self._by_space[space] = encoding
            return self._by_space[space]

    async def __aenter__(self) -> Self:
        for encoding in self._by_space.values():
            await encoding.batcher.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(encoding.batcher.stop() for encoding in self._by_space.values()))


def no_others(first: Model) -> Models:
    """Where one model is all there is."""

    def none(space: str) -> Model:
        raise ViewError(
            f"the bundle is of the space {first.manifest.space}, but the view is of {space}: FRESHLINE_BUNDLE?"
        )

    return none
