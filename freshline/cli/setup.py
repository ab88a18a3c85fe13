"""`freshline setup`: topics, collection, payload indexes, alias."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from freshline.cli.errors import Failure


def setup(
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic; they must never grow later.")] = 12,
    replication: Annotated[int, typer.Option(min=1, help="Replicas of each topic's partitions.")] = 1,
) -> None:
    """Create the topics, the first view and the alias, where they are missing. Safe to repeat.

    Example: freshline setup --partitions 12 --replication 3
    """
    from encoders.bundle import BundleError, load_bundle
    from freshline.parts import make_view, opened_store
    from freshline.settings import Settings
    from schemas.retentions import retention_problems
    from stream.admin import TopicError, ensure_topics

    settings = Settings()
    console = Console(soft_wrap=True, highlight=False)
    try:
        manifest = load_bundle(settings.bundle_path).manifest
        created = ensure_topics(
            settings.kafka(),
            settings.topics.specs(),
            partitions=partitions,
            replication=replication,
            check=lambda configs: retention_problems(settings.topics, configs, settings.tombstone_retention),
        )
    except (BundleError, TopicError) as error:
        raise Failure(str(error)) from error
    console.print(f"topics: {', '.join(created) or 'all there'}")
    try:
        with opened_store(settings) as store:
            view, new = store.run_sync(lambda client: make_view(client, settings, manifest))
    except Exception as error:
        raise Failure(f"Qdrant at {settings.qdrant_url}: {error}") from error
    console.print(f"view: {view} ({'created' if new else 'there already'}); alias: {settings.alias}")
