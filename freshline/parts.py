"""The parts that a worker and the search service have in common: the model, the index, the view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qdrant_client import QdrantClient

from encoders.bundle import Bundle, load_bundle
from encoders.session import ImageEncoder
from encoders.text import TextEncoder
from freshline.settings import Settings
from indexer.collections import ViewError, ensure_view, point_alias, resolve_view, serving_view, space_of, view_name
from indexer.store import Store
from schemas.bundles import Manifest


def load_encoder(settings: Settings, threads: int | None = None) -> ImageEncoder:
    """The encoder of the settings' bundle on their device; `threads` of the CPU for one batch, by default all.

    Raises:
        BundleError, EncoderError: with what to do about it.
    """
    gpu_memory = settings.gpu_memory_mib * 2**20 or None
    return ImageEncoder(
        load_bundle(settings.bundle_path), device=settings.device, threads=threads, gpu_memory=gpu_memory
    )


def bundle_of(settings: Settings, view: str) -> Bundle:
    """The bundle that a view is of, among those that the settings name.

    Raises:
        BundleError: one of them is no bundle.
        ViewError: none of them is of the view's space.
    """
    space = space_of(view)
    for folder in (settings.bundle_path, *settings.bundles):
        bundle = load_bundle(folder)
        if bundle.manifest.space == space:
            return bundle
    raise ViewError(f"{view} is of the space {space}, and no bundle in FRESHLINE_BUNDLE or FRESHLINE_BUNDLES is")


def text_encoder(bundle: Bundle) -> TextEncoder | None:
    """The bundle's text tower, on one thread of the CPU; None where it has none.

    Raises:
        BundleError, EncoderError: with what to do about it.
    """
    return TextEncoder(bundle, threads=1) if bundle.manifest.text else None


@contextmanager
def opened_store(settings: Settings, given: Store | None = None) -> Iterator[Store]:
    """The caller's store, which stays open, or one of the settings, which is closed at the end."""
    if given is not None:
        yield given
        return
    store = Store(settings.qdrant())
    try:
        yield store
    finally:
        store.close()


def make_view(client: QdrantClient, settings: Settings, manifest: Manifest) -> tuple[str, bool]:
    """The view that this installation serves, made if there is none; another model's view is never touched.

    Returns:
        Its name, and whether it is new.
    """
    serving = serving_view(client, settings.alias)
    view = settings.view or serving or view_name(settings.alias, manifest.space, 1)
    created = ensure_view(client, view, manifest.dimension, settings.indexed_attributes)
    resolve_view(client, settings.alias, view, manifest.space)
    if serving is None:
        point_alias(client, settings.alias, view)
    return view, created
