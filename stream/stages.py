"""The stages themselves: each made of the parts of one package, each timed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from encoders.batcher import Batcher
from encoders.pixels import ImageError, decode
from encoders.session import ImageEncoder
from indexer.compose import Encoded
from indexer.decide import Change, Plan, decide
from indexer.points import DECIDE_FIELDS, Point, Stored, read_stored
from indexer.store import IndexUnusable, Store, is_outage, is_refusal
from indexer.writer import Written, write
from schemas.dead_letters import Reason
from schemas.events import Image
from stream.batching import MicroBatcher
from stream.health import Health
from stream.images.fetcher import Fetched, FetchError, ImageFetcher
from stream.images.reuse import Reuse
from stream.metrics import Metrics
from stream.trail import step

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from encoders.pixels import Pixels

log = structlog.get_logger(__name__)

T = TypeVar("T")

Ended = Callable[[Literal["fetch", "decode", "encode"]], None]


@dataclass(frozen=True)
class StageSettings:
    """How much of each stage runs at once."""

    decide_batch: int = 256
    write_batch: int = 256
    batch_pause: float = 0.08
    """Seconds between two requests to Qdrant of one kind, under load: a request costs as much as many points."""
    late_seconds: float = 10.0
    """Events that are older are late already. While pictures are what they wait for, requests are then as rare as
    `late_pause`, and larger: what that saves is the pictures'."""
    late_pause: float = 0.32
    encode_batch: int = 32
    encode_threads: int = 1
    images_at_once: int = 64
    """Pictures being fetched or decoded; with the fetcher's byte limit, the bound on their memory. One that waits for
    its host's turn is not counted."""
    images_waiting: int = 128
    """Pictures that are decoded and not encoded yet, beside those: enough for full batches."""
    decode_batch: int = 16
    """Pictures that a thread decodes in one go, where so many wait: to wake a thread has its price."""
    decode_threads: int = 2
    reuse_bytes: int = 16_000_000
    """What is remembered of pictures that were encoded lately, so that the same one is not encoded again."""


@dataclass(frozen=True)
class ImageFailure:
    """A picture that could not be had, where and why."""

    image: Image
    reason: Reason
    message: str
    stage: Literal["fetch", "decode"]

    @property
    def passing(self) -> bool:
        """Whether it may be had later."""
        return self.reason.passing


class Stages:
    """Decide, fetch, decode, encode and write, for one view. An async context manager."""

    def __init__(
        self,
        settings: StageSettings,
        *,
        view: str,
        store: Store,
        fetcher: ImageFetcher,
        encoder: ImageEncoder,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._view = view
        self._store = store
        self._fetcher = fetcher
        self._encoder = encoder
        self._metrics = metrics
        self._health = health
        self._slots = asyncio.Semaphore(settings.images_at_once)
        self._decoded = asyncio.Semaphore(settings.images_waiting)
        self._reuse = Reuse(settings.reuse_bytes)
        self._threads = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        pause, threads = settings.batch_pause, settings.decode_threads
        self._decider: MicroBatcher[Change, Plan] = MicroBatcher(self._decide, settings.decide_batch, pause=pause)
        self._decoder: MicroBatcher[bytes, Pixels | Exception]
        self._decoder = MicroBatcher(self._decode, settings.decode_batch, at_once=threads)
        self._writer: MicroBatcher[Point, Written] = MicroBatcher(
            self._write, settings.write_batch, pause=pause, at_once=2
        )
        self._batcher = Batcher(
            encoder.encode,
            max_size=settings.encode_batch,
            threads=settings.encode_threads,
            on_batch=lambda size, seconds: metrics.encoded(size / settings.encode_batch, seconds),
        )
        self._settings = settings
        self._exits = AsyncExitStack()

    def heard(self, age_seconds: float) -> None:
        """An event has come that was appended so long ago: from it on requests are paced."""
        late = age_seconds > self._settings.late_seconds and self._slots.locked()
        self._decider.pause = self._writer.pause = self._settings.late_pause if late else self._settings.batch_pause

    async def decide(self, change: Change) -> Plan:
        """What the change asks for, with the stored vectors if the new point may keep some."""
        return await self._decider.submit(change)

    async def image(
        self, image: Image, *, force: bool = False, ended: Ended = lambda _: None
    ) -> Encoded | ImageFailure:
        """Fetch, decode and encode one picture; with `force`, even if its vector is known. `ended` hears of each."""
        known = None if force else self._reuse.known(image)
        try:
            with self._metrics.stage("fetch"), step("fetch", url=image.url):
                fetched = await self._fetcher.fetch(image, self._slots, known)
        except FetchError as error:
            return ImageFailure(image, error.reason, str(error), "fetch")
        finally:
            ended("fetch")
        if fetched.unchanged and known:
            self._slots.release()
            return Encoded(fetched.digest, known.vector)
        return await self._encoded(image, fetched, force, ended)

    async def _encoded(self, image: Image, fetched: Fetched, force: bool, ended: Ended) -> Encoded | ImageFailure:
        try:
            vector = None if force else self._reuse.vector(fetched.digest)
            pixels = None if vector is not None else await self._pixels(fetched, ended)
        finally:
            self._slots.release()
        if isinstance(pixels, ImageError):
            return ImageFailure(image, pixels.reason, f"{image.url}: {pixels}", "decode")
        if pixels is not None:
            try:
                with step("encode"):
                    vector = await self._batcher.encode(pixels)
            finally:
                self._decoded.release()
            ended("encode")
        assert vector is not None
        self._reuse.keep(image.url, fetched, vector)
        return Encoded(fetched.digest, vector)

    async def _pixels(self, fetched: Fetched, ended: Ended) -> Pixels | ImageError:
        """Decoded, with a place among those that wait for the encoder."""
        with self._metrics.stage("decode"), step("decode"):
            pixels = await self._decoder.submit(fetched.data)
        ended("decode")
        if isinstance(pixels, ImageError):
            return pixels
        if isinstance(pixels, Exception):
            raise pixels
        await self._decoded.acquire()
        return pixels

    async def write(self, point: Point) -> Written:
        """Return once the point, or something newer, is durable and readable."""
        return await self._writer.submit(point)

    async def _decode(self, pictures: Sequence[bytes]) -> list[Pixels | Exception]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._decode_each, pictures)

    def _decode_each(self, pictures: Sequence[bytes]) -> list[Pixels | Exception]:
        return [self._decode_one(picture) for picture in pictures]

    def _decode_one(self, picture: bytes) -> Pixels | Exception:
        try:
            return decode(picture, size=self._encoder.size, resize=self._encoder.resize)
        except Exception as error:  # its neighbours in the batch must not fail with it
            return error

    async def _decide(self, changes: Sequence[Change]) -> list[Plan]:
        with self._metrics.stage("decide"):
            ids = [change.event.product_id for change in changes]
            stored = await self._patiently(lambda: self._store.run(lambda client: self._read(client, ids)))
            return [decide(change, stored.get(change.event.product_id)) for change in changes]

    def _read(self, client: QdrantClient, product_ids: Sequence[str]) -> dict[str, Stored]:
        """With the vectors, since the rows that a point keeps and the images behind them must be of one moment."""
        return read_stored(client, self._view, product_ids, fields=DECIDE_FIELDS, vectors=True)

    async def _write(self, points: Sequence[Point]) -> list[Written]:
        with self._metrics.stage("write"):
            return await self._patiently(lambda: self._store.run(lambda client: write(client, self._view, points)))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Hold on while Qdrant is away, however long: every request may be repeated, and nothing is given up.

        Raises:
            IndexUnusable: it answers, but not to us.
        """

        async def attempt() -> T:  # tenacity would take a plain function's coroutine for its result
            return await call()

        try:
            try:
                return await attempt()
            except Exception as error:
                if not is_outage(error):
                    raise
            with self._health.holding("qdrant"):
                return await _hold()(attempt)
        except Exception as error:
            if is_refusal(error):
                raise IndexUnusable(f"Qdrant refuses {self._view}: {error}") from error
            raise

    async def __aenter__(self) -> Self:
        for part in (self._fetcher, self._batcher, self._decoder, self._decider, self._writer):
            await self._exits.enter_async_context(part)
        self._exits.callback(self._threads.shutdown)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()


def _log_outage(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("Qdrant is away, holding", attempt=state.attempt_number, error=str(error).strip().splitlines()[:1])


def _hold() -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(is_outage),
        wait=wait_exponential_jitter(multiplier=0.1, max=5),
        before_sleep=_log_outage,
    )
