"""What a replay sees of those who work on it: the replay lane's commits, dead letters, parked events, the view."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]
from pydantic import ValidationError

from indexer.points import DECIDE_FIELDS, read_indexed_at, read_stored
from indexer.store import Store
from schemas.dead_letters import DeadLetter
from schemas.headers import LANE, text
from schemas.topics import Topics
from stream.admin import admin_client
from stream.commits import observer
from stream.kafka import KafkaSettings
from stream.reconcile.gather import source_of
from stream.reconcile.ledger import Place
from stream.reconcile.reading import TopicReader
from stream.replaying.tally import Look

TIMEOUT_SECONDS = 30.0

log = logging.getLogger("librdkafka")


_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    }
)


def is_passing(error: BaseException) -> bool:
    """Whether Kafka is away, or finding its leaders, so that the same request may succeed later."""
    return isinstance(error, KafkaException) and error.args[0].code() in _PASSING


class Lane:
    """A view's replay lane: how far its group is, and how many work in it. A context manager; never joins."""

    def __init__(self, kafka: KafkaSettings, topic: str, group: str) -> None:
        self._group = group
        self._consumer = observer(kafka, group)
        self._admin = admin_client(kafka)
        self._partitions = [
            TopicPartition(topic, number)
            for number in self._consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic].partitions
        ]

    def committed(self) -> dict[int, int]:
        """By partition, how far the group is."""
        found = self._consumer.committed(self._partitions, timeout=TIMEOUT_SECONDS)
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def workers(self) -> int:
        """How many are in the group now."""
        future = self._admin.describe_consumer_groups([self._group], request_timeout=TIMEOUT_SECONDS)[self._group]
        try:
            return len(future.result().members)
        except KafkaException as error:
            if is_passing(error):
                raise
            return 0  # how newer brokers say that there is no such group

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._consumer.close()


class News:
    """Dead letters and parked events that a view's workers wrote of replayed events since this began."""

    def __init__(self, kafka: KafkaSettings, topics: Topics, view: str, reader: TopicReader) -> None:
        self._topics, self._view, self._reader = topics, view, reader
        self._admin = admin_client(kafka)
        self._partitions = [
            TopicPartition(topic, number)
            for topic in (topics.dead_letters, topics.retry)
            for number in reader.bounds(topic)
        ]
        self._read_to = self._ends()
        self.letters: set[Place] = set()
        self.parked: set[Place] = set()

    def read(self, awaited: Collection[Place]) -> None:
        """Take in what came since the last time, as far as it is about events that are awaited."""
        self.letters.intersection_update(awaited)
        self.parked.intersection_update(awaited)
        ends = self._ends()
        for topic, note in ((self._topics.dead_letters, self._note_letter), (self._topics.retry, self._note_parked)):
            spans = {number: (self._read_to[topic, number], end) for (of, number), end in ends.items() if of == topic}
            for message in self._reader.read(topic, spans):
                note(message, awaited)
        self._read_to = ends

    def _note_letter(self, message: Any, awaited: Collection[Place]) -> None:
        try:
            letter = DeadLetter.model_validate_json(message.value() or b"")
        except ValidationError:
            return
        place = letter.partition, letter.offset
        if (letter.view, letter.topic, letter.lane) == (self._view, self._topics.events, "replay") and place in awaited:
            (self.letters.discard if letter.redriven_at else self.letters.add)(place)

    def _note_parked(self, message: Any, awaited: Collection[Place]) -> None:
        place = source_of(message, self._view)
        if place is not None and place in awaited and text(dict(message.headers() or ()), LANE) == "replay":
            self.parked.add(place)

    def _ends(self) -> dict[tuple[str, int], int]:
        """Of every partition of both topics, in one request."""
        latest = {each: OffsetSpec.latest() for each in self._partitions}  # type: ignore[no-untyped-call]
        found = self._admin.list_offsets(latest, request_timeout=TIMEOUT_SECONDS)
        return {(each.topic, each.partition): future.result().offset for each, future in found.items()}


def look(store: Store, view: str, products: Iterable[str], *, times: bool) -> dict[str, Look]:
    """What the view holds for these products, one entry for each; with `times`, when it was written too."""
    asked = list(dict.fromkeys(products))
    if not asked:
        return {}
    stored = store.run_sync(lambda client: read_stored(client, view, asked, fields=DECIDE_FIELDS))
    written = store.run_sync(lambda client: read_indexed_at(client, view, asked)) if times else {}
    return {each: Look(stored.get(each), written.get(each)) for each in asked}
