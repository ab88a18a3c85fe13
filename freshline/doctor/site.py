"""An installation as a doctor finds it: each part is reached for when it is first asked about."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import Any, Self

from confluent_kafka.admin import AdminClient

from encoders.bundle import Bundle, load_bundle
from freshline.settings import Settings
from indexer.collections import resolve_view
from indexer.store import Store
from schemas.topics import Topics
from stream.admin import TopicState, admin_client, read_topics
from stream.reconcile.reading import TopicReader

TIMEOUT_SECONDS = 10.0
LANES = ("live", "retry", "replay")


class Site:
    """A context manager, which closes what was opened. What can't be reached raises, each time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._exits = ExitStack()

    @cached_property
    def bundle(self) -> Bundle:
        """The verified bundle."""
        return load_bundle(self.settings.bundle_path)

    @cached_property
    def admin(self) -> AdminClient:
        """Of Kafka."""
        return admin_client(self.settings.kafka())

    @cached_property
    def topics(self) -> dict[str, TopicState]:
        """Ours, as far as they exist."""
        return read_topics(self.admin, [spec.name for spec in self.settings.topics.specs()], TIMEOUT_SECONDS)

    @cached_property
    def reader(self) -> TopicReader:
        """Of topics."""
        return self._exits.enter_context(TopicReader(self.settings.kafka()))

    @cached_property
    def store(self) -> Store:
        """Of points."""
        store = Store(self.settings.qdrant())
        self._exits.callback(store.close)
        return store

    @cached_property
    def view(self) -> str:
        """The collection that workers with these settings write to."""
        alias, view, space = self.settings.alias, self.settings.view, self.bundle.manifest.space
        return self.store.run_sync(lambda client: resolve_view(client, alias, view, space))

    @property
    def lanes(self) -> dict[str, str]:
        """The topic of each lane, as far as it exists."""
        names: Topics = self.settings.topics
        every = {"live": names.events, "retry": names.retry, "replay": names.replay}
        return {lane: topic for lane, topic in every.items() if topic in self.topics}

    @property
    def groups(self) -> dict[str, str]:
        """The view's consumer group in each lane."""
        return {lane: self.settings.group(self.view, lane) for lane in LANES}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._exits.close()
