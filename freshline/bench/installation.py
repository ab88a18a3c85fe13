"""An installation of a benchmark's own on the local stack: settings, topics and view."""

from __future__ import annotations

from collections.abc import Mapping

from encoders.bundle import load_bundle
from freshline.parts import make_view, opened_store
from freshline.settings import Settings
from stream.admin import ensure_topics

PARTITIONS = 12


def settings_of(env: Mapping[str, str]) -> Settings:
    """The settings that a process with these variables would have."""
    fields = {key.removeprefix("FRESHLINE_").lower(): value for key, value in env.items()}
    return Settings(**fields)  # type: ignore[arg-type]  # read from text, as from the environment


def install(settings: Settings) -> str:
    """Make the topics and the view; the view's name."""
    ensure_topics(settings.kafka(), settings.topics.specs(), partitions=PARTITIONS, replication=1)
    manifest = load_bundle(settings.bundle_path).manifest
    with opened_store(settings) as store:
        return store.run_sync(lambda client: make_view(client, settings, manifest))[0]
