"""The search service from its settings, as `compose.py` makes a worker: without Kafka, which it doesn't need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from encoders.session import ImageEncoder, available_cores
from freshline.parts import bundle_folders, encoder_of, load_encoder, model_of, opened_store
from freshline.settings import Settings
from indexer.store import Store
from search.listing import Lister
from search.model import Model
from search.service import create_app
from search.settings import SearchSettings


@contextmanager
def build_service(
    settings: Settings,
    registry: CollectorRegistry,
    *,
    store: Store | None = None,
    encoder: ImageEncoder | None = None,
    lister: Lister | None = None,
) -> Iterator[FastAPI]:
    """The service, ready to be served.

    Args:
        settings: of everything that is not given.
        registry: where its metrics go.
        store: the caller's, to share; by default one that is closed at the end.
        encoder: likewise.
        lister: takes the products that the page lists.

    Raises:
        BundleError, EncoderError: with what to do about it.
    """
    bundle_folders(settings)  # what is wrong with those for later is said now
    encoder = encoder or load_encoder(settings)
    with opened_store(settings, store) as opened:
        yield create_app(
            store=opened,
            model=model_of(encoder),
            others=partial(_load, settings),
            settings=_search_settings(settings),
            registry=registry,
            lister=lister,
        )


def _search_settings(settings: Settings) -> SearchSettings:
    return SearchSettings(
        settings.alias,
        settings.view,
        max_image_bytes=settings.image_max_bytes,
        most_searches=settings.searches_at_once or 4 * available_cores(),
        patience_seconds=settings.search_patience_seconds,
        hnsw_ef=settings.search_ef,
        upload_seconds=settings.upload_seconds,
        keys=settings.api_keys,
        rate=settings.api_rate,
        cors_origins=tuple(settings.cors_origins),
        image_root=settings.image_root,
    )


def _load(settings: Settings, space: str) -> Model:
    return model_of(encoder_of(settings, space))
