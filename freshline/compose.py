"""A worker from its settings: the one place where all its parts meet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from encoders.bundle import load_bundle
from encoders.session import ImageEncoder, available_cores
from freshline import __version__
from freshline.settings import Settings
from indexer.collections import ViewError, resolve_view
from indexer.store import Store, is_outage
from stream.dead_letters import KafkaDeadLetters
from stream.images import ImageFetcher
from stream.metrics import Metrics
from stream.pipeline import Pipeline, PipelineSettings
from stream.stages import Stages, StageSettings
from stream.worker import Worker, WorkerSettings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def build_worker(settings: Settings, lane: str, registry: CollectorRegistry) -> AsyncIterator[Worker]:
    """A worker of the view that the settings name, ready to run.

    Raises:
        BundleError, EncoderError, ViewError: with what to do about it.
    """
    bundle = load_bundle(settings.bundle_path)
    # On the CPU each core encodes a batch of its own: that keeps them busier than sharing one batch does.
    encoders = 1 if settings.device == "cuda" else available_cores()
    encoder = ImageEncoder(bundle, device=settings.device, threads=1)
    store = Store(settings.qdrant())
    dead_letters = KafkaDeadLetters(settings.kafka(), settings.topics.dead_letters)
    try:
        view = await _view(settings, store, bundle.manifest.space)
        metrics = Metrics(registry, view=view, lane=lane)
        stages = Stages(
            StageSettings(encode_threads=encoders),
            view=view,
            store=store,
            fetcher=ImageFetcher(settings.images()),
            encoder=encoder,
            metrics=metrics,
        )
        purpose = PipelineSettings(view, lane, settings.versions, __version__)
        pipeline = Pipeline(purpose, stages, dead_letters, metrics)
        worker = Worker(_worker_settings(settings, view, lane), pipeline)
        metrics.in_flight.set_function(lambda: worker.in_flight)
        log.info("worker", lane=lane, view=view, bundle=bundle.manifest.name, device=settings.device)
        async with stages:
            yield worker
    finally:
        dead_letters.close()
        store.close()


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
