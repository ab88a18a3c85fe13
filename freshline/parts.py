"""The parts that a worker and the search service have in common: the model, the index, the view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qdrant_client import QdrantClient

from encoders.bundle import Bundle, BundleError, load_bundle, read_manifest
from encoders.session import EncoderError, ImageEncoder
from encoders.text import TextEncoder
from freshline.settings import Settings
from indexer.collections import ViewError, ensure_view, point_alias, resolve_view, serving_view, view_name
from indexer.store import Store
from schemas.bundles import Manifest
from search.model import Model


def load_encoder(settings: Settings, threads: int | None = None, *, bundle: Bundle | None = None) -> ImageEncoder:
    """An encoder on the settings' device, by default of their bundle; `threads` of the CPU for a batch, by default all.

    Raises:
        BundleError, EncoderError: with what to do about it.
    """
    gpu_memory = settings.gpu_memory_mib * 2**20 or None
    found = bundle or load_bundle(settings.bundle_path)
    return ImageEncoder(found, device=settings.device, threads=threads, gpu_memory=gpu_memory)


def bundle_folders(settings: Settings) -> dict[str, Path]:
    """The bundles that the settings name, by space; of two the first, `FRESHLINE_BUNDLE` before all.

    Raises:
        BundleError: one of them is no bundle.
    """
    folders = (*reversed(settings.bundles), settings.bundle_path)
    return {read_manifest(folder).space: folder for folder in folders}


def bundle_of(settings: Settings, space: str) -> Bundle:
    """The bundle of a space, among those that the settings name.

    Raises:
        BundleError: one of them is no bundle.
        ViewError: none of them is of that space.
    """
    folders = bundle_folders(settings)
    if space not in folders:
        known = ", ".join(folders)
        raise ViewError(
            f"no bundle in FRESHLINE_BUNDLE and FRESHLINE_BUNDLES ({known}) is of the view's space, {space}"
        )
    return load_bundle(folders[space])


def encoder_of(settings: Settings, space: str, threads: int | None = None) -> ImageEncoder:
    """An encoder of a space, for whoever goes on without it.

    Raises:
        ViewError: it can't be had; with the reason.
    """
    try:
        return load_encoder(settings, threads, bundle=bundle_of(settings, space))
    except (BundleError, EncoderError) as error:
        raise ViewError(str(error)) from error


def text_encoder(bundle: Bundle) -> TextEncoder | None:
    """The bundle's text tower, on one thread of the CPU; None where it has none.

    Raises:
        BundleError, EncoderError: with what to do about it.
    """
    return TextEncoder(bundle, threads=1) if bundle.manifest.text else None


def model_of(encoder: ImageEncoder) -> Model:
    """An encoder as searches use it, with its text tower.

    Raises:
        BundleError, EncoderError: with what to do about it.
    """
    words = text_encoder(encoder.bundle)
    return Model(encoder.bundle.manifest, encoder.encode, words.encode if words else None)


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
