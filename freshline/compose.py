"""A worker from its settings: the one place where all its parts meet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from encoders.session import ImageEncoder, available_cores
from freshline import __version__
from freshline.parts import load_encoder, opened_store
from freshline.settings import Settings
from indexer.collections import ViewError, resolve_view
from indexer.store import Store, is_outage
from stream.dead_letters import KafkaDeadLetters
from stream.images import ImageFetcher
from stream.metrics import Metrics, Watcher
from stream.pipeline import Pipeline, PipelineSettings
from stream.stages import Stages, StageSettings
from stream.worker import Worker, WorkerSettings

log = structlog.get_logger(__name__)


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
        lane: which topic it consumes.
        registry: where its metrics go.
        store: the caller's, to share; by default one of its own.
        encoder: likewise.
        watcher: is told of every event.

    Raises:
        BundleError, EncoderError, ViewError: with what to do about it.
    """
    encoder = encoder or load_encoder(settings, threads=1)
    dead_letters = KafkaDeadLetters(settings.kafka(), settings.topics.dead_letters)
    try:
        with opened_store(settings, store) as opened:
            view = await _view(settings, opened, encoder.space)
            metrics = Metrics(registry, view=view, lane=lane, watcher=watcher)
            fetcher, sizes = ImageFetcher(settings.images()), _sizes(settings, encoder)
            stages = Stages(sizes, view=view, store=opened, fetcher=fetcher, encoder=encoder, metrics=metrics)
            purpose = PipelineSettings(view, lane, settings.versions, __version__)
            pipeline = Pipeline(purpose, stages, dead_letters, metrics)
            worker = Worker(_worker_settings(settings, view, lane), pipeline)
            metrics.in_flight.set_function(lambda: worker.in_flight)
            log.info("worker", lane=lane, view=view, bundle=encoder.bundle.manifest.name, device=settings.device)
            async with stages:
                yield worker
    finally:
        dead_letters.close()


def _sizes(settings: Settings, encoder: ImageEncoder) -> StageSettings:
    """On the CPU each core encodes a batch of its own: that keeps them busier than sharing one batch does."""
    cores = available_cores()
    return StageSettings(
        encode_threads=cores if encoder.device == "cpu" else 1,
        decode_threads=cores + 1,
        reuse_bytes=settings.image_reuse_bytes,
    )


async def _view(settings: Settings, store: Store, space: str) -> str:
    try:
        return await store.run(lambda client: resolve_view(client, settings.alias, settings.view, space))
    except Exception as error:
        if is_outage(error):
            raise ViewError(f"Qdrant at {settings.qdrant_url} can't be reached") from error
        raise


def _worker_settings(settings: Settings, view: str, lane: str) -> WorkerSettings:
    return WorkerSettings(
        topic=settings.topics.events,
        group=settings.group(view, lane),
        kafka=settings.kafka(),
        max_in_flight=settings.max_in_flight,
        drain_seconds=settings.drain_seconds,
        session_timeout_seconds=settings.session_timeout_seconds,
    )
