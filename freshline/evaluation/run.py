"""A bundle, labelled queries, and a view to ask: one that is made for them, or one that exists."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from encoders.bundle import load_bundle
from encoders.session import ImageEncoder
from freshline.parts import model_of
from freshline.settings import Settings
from indexer.collections import ViewError, serving_view, view_name
from indexer.store import LOCAL, QdrantSettings, Store, is_outage
from search.evaluation import Evaluation, evaluate
from search.gallery import index_gallery
from search.labelled import GalleryProduct, Query
from search.metrics import SearchMetrics
from search.searcher import Searcher
from search.settings import SearchSettings

Report = Callable[[str, int], None]
"""What was done, and how many more of it."""


@dataclass(frozen=True)
class Where:
    """What is searched."""

    gallery: Sequence[GalleryProduct] | None = None
    """Products that a view is made of, and deleted at the end."""
    view: str | None = None
    """Otherwise: an existing collection, or an alias."""
    server: bool = False
    """Make the gallery's view on the settings' Qdrant instead of in this process."""


async def run(settings: Settings, bundle: Path, queries: Sequence[Query], where: Where, report: Report) -> Evaluation:
    """Ask every query of one bundle and view.

    Raises:
        BundleError, EncoderError, ViewError, LabelError, EvaluationError: with what to do about it.
    """
    encoder = ImageEncoder(load_bundle(bundle), device=settings.device)
    local = where.gallery is not None and not where.server
    store = Store(QdrantSettings(url=LOCAL) if local else settings.qdrant())
    try:
        async with _view(store, encoder, where, report) as view:
            searcher = searcher_on(store, encoder, view)
            async with searcher.running():
                return await evaluate(searcher, queries, done=lambda count: report("asking", count))
    except Exception as error:
        if is_outage(error):
            raise ViewError(f"Qdrant at {settings.qdrant_url} can't be reached") from error
        raise
    finally:
        store.close()


def searcher_on(store: Store, encoder: ImageEncoder, view: str) -> Searcher:
    """As shoppers' one, but on one view, and with metrics that nobody sees."""
    settings, metrics = SearchSettings(view=view, encode_batch=32), SearchMetrics(CollectorRegistry())
    return Searcher(store, model_of(encoder), settings, metrics)


@asynccontextmanager
async def _view(store: Store, encoder: ImageEncoder, where: Where, report: Report) -> AsyncIterator[str]:
    if where.gallery is None:
        given = where.view or ""
        yield await store.run(lambda client: serving_view(client, given) or given)
        return
    name = view_name(f"evaluation-{uuid.uuid4().hex[:8]}", encoder.space, 1)
    manifest = encoder.bundle.manifest
    try:
        await index_gallery(
            store, name, manifest, encoder.encode, where.gallery, done=lambda count: report("indexing", count)
        )
        yield name
    finally:
        await store.run(lambda client: client.delete_collection(name))
