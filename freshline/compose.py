"""A worker from its settings: the one place where all its parts meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from encoders.session import ImageEncoder, available_cores
from freshline import __version__
from freshline.parts import bundle_folders, bundle_of, load_encoder, opened_store
from freshline.settings import Settings
from indexer.collections import ViewError, find_view, space_of
from indexer.store import Store, is_outage
from stream.backlog import GroupReader
from stream.consumer import ConsumerSettings
from stream.dead_letters import KafkaDeadLetters
from stream.diversion import KafkaDiversion
from stream.health import Health
from stream.images.fetcher import ImageFetcher
from stream.limits import LimitSettings
from stream.metrics import Metrics, Watcher
from stream.outbox import Outbox
from stream.pipeline import Pipeline, PipelineSettings
from stream.retry import KafkaRetries
from stream.serving import Serving
from stream.stages import Stages, StageSettings
from stream.sweeper import Sweeper
from stream.trail import Followed
from stream.worker import Worker, WorkerSettings
from stream.yielding import Yielding, YieldSettings

log = structlog.get_logger(__name__)

_REPLAYED = 4
"""So many times as many events are in flight in the replay lane, and its requests to Qdrant are as rare as if all were
late: nobody waits for one of its events, and most need no picture, only Qdrant."""


@asynccontextmanager
async def build_worker(
    settings: Settings,
    lane: str,
    registry: CollectorRegistry,
    *,
    store: Store | None = None,
    encoder: ImageEncoder | None = None,
    watcher: Watcher | None = None,
) -> AsyncIterator[Worker]:
    """A worker of the view that the settings name, ready to run.

    Args:
        settings: of everything that is not given.
        lane: which topic it consumes: `live`, `retry` or `replay`.
        registry: where its metrics go.
        store: the caller's, to share; by default one of its own.
        encoder: likewise.
        watcher: is told of every event.

    Raises:
        BundleError, EncoderError, ViewError: with what to do about it.
    """
    bundle_folders(settings)  # what is wrong with them is said before anything is reached for
    health = Health()
    with Outbox(settings.kafka(), health) as outbox, opened_store(settings, store) as opened:
        view = await _view(settings, opened)
        encoder = _encoder(settings, view, encoder)
        metrics = Metrics(registry, view=view, lane=lane, watcher=watcher)
        fetcher, sizes = ImageFetcher(settings.images(), health), _sizes(settings, encoder, lane)
        stages = Stages(
            sizes, view=view, store=opened, fetcher=fetcher, encoder=encoder, metrics=metrics, health=health
        )
        dead_letters = KafkaDeadLetters(outbox, settings.topics.dead_letters)
        retries = KafkaRetries(outbox, settings.topics.retry, view)
        serving = Serving(opened, settings.alias)
        await serving.ask()
        diversion = KafkaDiversion(outbox, settings.topics.replay, view, serving) if lane == "live" else None
        pipeline = Pipeline(_purpose(settings, view, lane), stages, dead_letters, retries, metrics, diversion=diversion)
        worker = Worker(_worker_settings(settings, view, lane), pipeline, health)
        metrics.watch(health, lambda: worker.in_flight, worker.is_stuck)
        yielding = _yielding(settings, view, lane, serving, worker)
        metrics.watch_yielding(lambda: yielding.paused, lambda: yielding.limit)
        log.info("worker", lane=lane, view=view, bundle=encoder.bundle.manifest.name, device=settings.device)
        async with stages:
            sweeper = Sweeper(opened, view, settings.tombstone_retention)
            async with _beside(sweeper.run(), serving.run(), yielding.run()):
                yield worker


@asynccontextmanager
async def _beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """What goes on for as long as the context lasts."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


def _yielding(settings: Settings, view: str, lane: str, serving: Serving, worker: Worker) -> Yielding:
    purpose = YieldSettings(view, lane, _in_flight(settings, lane), settings.yield_seconds, settings.yield_niceness)
    reader = GroupReader(settings.kafka(), settings.topics.events)
    return Yielding(purpose, serving, reader, partial(settings.group, lane="live"), worker.allow)


def _in_flight(settings: Settings, lane: str) -> int:
    return settings.max_in_flight * (_REPLAYED if lane == "replay" else 1)


def _purpose(settings: Settings, view: str, lane: str) -> PipelineSettings:
    return PipelineSettings(
        view,
        lane,
        settings.versions,
        __version__,
        events_topic=settings.topics.events,
        retry_budget=timedelta(hours=settings.retry_budget_hours),
        limits=LimitSettings(run=settings.dead_letter_run, share=settings.dead_letter_share),
        followed=Followed(settings.log_products),
    )


def _sizes(settings: Settings, encoder: ImageEncoder, lane: str) -> StageSettings:
    """On the CPU each core encodes a batch of its own: that keeps them busier than sharing one batch does."""
    cores = available_cores()
    return StageSettings(
        batch_pause=StageSettings.late_pause if lane == "replay" else StageSettings.batch_pause,
        encode_threads=cores if encoder.device == "cpu" else 1,
        decode_threads=cores + 1,
        reuse_bytes=settings.image_reuse_bytes,
    )


def _encoder(settings: Settings, view: str, given: ImageEncoder | None) -> ImageEncoder:
    """Of the view's space: the caller's, or one of a bundle that the settings name."""
    encoder = given or load_encoder(settings, threads=1, bundle=bundle_of(settings, space_of(view)))
    if encoder.space != space_of(view):
        raise ViewError(f"the encoder is of the space {encoder.space}, the view {view} is not")
    return encoder


async def _view(settings: Settings, store: Store) -> str:
    try:
        return await store.run(lambda client: find_view(client, settings.alias, settings.view))
    except Exception as error:
        if is_outage(error):
            raise ViewError(f"Qdrant at {settings.qdrant_url} can't be reached") from error
        raise


def _worker_settings(settings: Settings, view: str, lane: str) -> WorkerSettings:
    topics = {"live": settings.topics.events, "retry": settings.topics.retry, "replay": settings.topics.replay}
    group, timeout = settings.group(view, lane), settings.session_timeout_seconds
    return WorkerSettings(
        ConsumerSettings(topics[lane], group, settings.kafka(), session_timeout_seconds=timeout),
        max_in_flight=_in_flight(settings, lane),
        drain_seconds=settings.drain_seconds,
        delay_seconds=settings.retry_delay_seconds if lane == "retry" else 0,
        stuck_seconds=settings.stuck_seconds,
    )
