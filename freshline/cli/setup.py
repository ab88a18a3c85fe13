"""`freshline setup`: topics, collection, payload indexes, alias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from freshline.settings import Settings
    from schemas.bundles import Manifest


def setup(
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic; they must never grow later.")] = 12,
    replication: Annotated[int, typer.Option(min=1, help="Replicas of each topic's partitions.")] = 1,
) -> None:
    """Create the topics, the first view and the alias, where they are missing. Safe to repeat.

    Example: freshline setup --partitions 12 --replication 3
    """
    from encoders.bundle import BundleError, load_bundle
    from freshline.settings import Settings
    from indexer.store import Store
    from stream.admin import TopicError, ensure_topics

    settings = Settings()
    console = Console(soft_wrap=True, highlight=False)
    try:
        manifest = load_bundle(settings.bundle_path).manifest
        created = ensure_topics(
            settings.kafka(), settings.topics.specs(), partitions=partitions, replication=replication
        )
    except (BundleError, TopicError) as error:
        raise Failure(str(error)) from error
    console.print(f"topics: {', '.join(created) or 'all there'}")
    store = Store(settings.qdrant())
    try:
        view, new = store.run_sync(lambda client: _view(client, settings, manifest))
    except Exception as error:
        raise Failure(f"Qdrant at {settings.qdrant_url}: {error}") from error
    finally:
        store.close()
    console.print(f"view: {view} ({'created' if new else 'there already'}); alias: {settings.alias}")


def _view(client: QdrantClient, settings: Settings, manifest: Manifest) -> tuple[str, bool]:
    """The view that this installation serves, made if there is none; another model's view is never touched."""
    from indexer.collections import ensure_view, point_alias, resolve_view, serving_view, view_name

    serving = serving_view(client, settings.alias)
    view = settings.view or serving or view_name(settings.alias, manifest.space, 1)
    created = ensure_view(client, view, manifest.dimension, settings.indexed_attributes)
    resolve_view(client, settings.alias, view, manifest.space)
    if serving is None:
        point_alias(client, settings.alias, view)
    return view, created
