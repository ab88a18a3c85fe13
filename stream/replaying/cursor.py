"""How far a named replay is, kept in Kafka: the commits of a consumer group of its own on `catalog.events`.

The replay that runs is the group's only member, so that nobody runs it twice. Beside each commit stands what the replay
was asked for and what it has come to; all partitions are committed in one request.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.topics import Topics
from stream.admin import admin_client
from stream.commits import observer
from stream.kafka import KafkaSettings
from stream.reconcile.reading import Spans
from stream.replaying.outside import is_passing
from stream.replaying.selection import Selection
from stream.replaying.tally import Counts

SESSION_SECONDS = 6.0
"""How long after a kill the group still has the dead member: the shortest that brokers allow by default."""
TIMEOUT_SECONDS = 30.0
_ROOM = 2500
"""Characters of a selection that fit beside a commit; Kafka takes 4,096 in all."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger("librdkafka")


class ReplayError(RuntimeError):
    """A replay that can't begin or go on; the message says why."""


class Memo(BaseModel):
    """What stands beside a commit."""

    model_config = ConfigDict(frozen=True)

    digest: str
    """Of the selection."""
    options: str
    asked: Selection | None
    """None if it is too long; it must then be given again."""
    planned: int
    """Events, from the beginning of the replay."""
    counts: Counts
    """What those before the cursor came to."""
    end: int = 0
    """Of this partition: the offset after the last to replay."""

    @classmethod
    def of(cls, selection: Selection, planned: int) -> Memo:
        """At the beginning of a replay."""
        asked = selection if len(selection.as_json()) <= _ROOM else None
        options = selection.options()[:300]
        return cls(digest=selection.digest(), options=options, asked=asked, planned=planned, counts=Counts())


class ReplayState(BaseModel):
    """A replay that runs, or that stopped before its end."""

    model_config = ConfigDict(frozen=True)

    name: str
    running: bool
    host: str | None
    """Where it runs."""
    view: str | None
    options: str
    planned: int
    counts: Counts


class Cursor:
    """The position of the replay of this name. A context manager."""

    def __init__(self, kafka: KafkaSettings, topics: Topics, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ReplayError(f"--name {name!r}: 1 to 64 letters, digits, dots, dashes and underscores")
        self.name = name
        self._topic, self._group = topics.events, group_of(topics, name)
        self._admin = admin_client(kafka)
        self._consumer = Consumer(
            kafka.librdkafka()
            | {
                "group.id": self._group,
                "client.id": socket.gethostname(),
                "session.timeout.ms": int(SESSION_SECONDS * 1000),
                "heartbeat.interval.ms": int(SESSION_SECONDS * 1000 / 4),
                "max.poll.interval.ms": 24 * 3600 * 1000,  # it never reads: another consumer does
                "enable.auto.commit": False,
                "queued.max.messages.kbytes": 1024,
            },
            logger=log,
        )
        self.memo: Memo | None = None
        """As it was committed; None for a new replay."""
        self.spans: dict[int, tuple[int, int]] = {}
        """What is left, by partition."""

    def join(self) -> None:
        """Take the replay for ours, and learn how far it is.

        Raises:
            ReplayError: it runs elsewhere.
        """
        self._await_nobody()
        assigned: list[TopicPartition] = []

        def take(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            consumer.assign(partitions)
            consumer.pause(partitions)
            assigned.extend(partitions)

        self._consumer.subscribe([self._topic], on_assign=take)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not assigned:
            self._consumer.poll(0.1)
            if time.monotonic() > deadline:
                raise ReplayError(f"group {self._group}: Kafka gave it no partitions within {TIMEOUT_SECONDS:g} s")
        topic = self._consumer.list_topics(self._topic, timeout=TIMEOUT_SECONDS).topics[self._topic]
        if len(assigned) < len(topic.partitions):
            raise ReplayError(f"the replay {self.name!r} has just been started elsewhere")
        found = [TopicPartition(self._topic, each.partition) for each in assigned]
        self._recall(self._consumer.committed(found, timeout=TIMEOUT_SECONDS))

    def begin(self, memo: Memo, spans: Spans) -> None:
        """Remember a new replay before its first event is sent."""
        self.spans = dict(spans)
        self._commit(memo, {number: start for number, (start, _) in spans.items()})

    def advance(self, positions: Mapping[int, int], counts: Counts) -> None:
        """All before these offsets is in `catalog.replay`, worked off and counted."""
        assert self.memo is not None
        self._consumer.poll(0)
        self._commit(self.memo.model_copy(update={"counts": counts}), positions)

    def finish(self) -> None:
        """Leave, and forget the replay: its name is free again."""
        self._consumer.close()
        _delete(self._admin, self._group)

    def _commit(self, memo: Memo, positions: Mapping[int, int]) -> None:
        """All partitions, so that all have the same counts beside them."""
        self.memo = memo
        for number, position in positions.items():
            self.spans[number] = (position, self.spans[number][1])
        offsets = [
            TopicPartition(self._topic, number, start, memo.model_copy(update={"end": end}).model_dump_json())
            for number, (start, end) in self.spans.items()
        ]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=False)

    def _recall(self, committed: list[TopicPartition]) -> None:
        for each in committed:
            if (memo := _memo(each)) is not None:
                self.memo = memo
                self.spans[each.partition] = (each.offset, memo.end)

    def _await_nobody(self) -> None:
        deadline = time.monotonic() + SESSION_SECONDS + 2
        while (members := _members(self._admin, self._group)) and time.monotonic() < deadline:
            time.sleep(0.2)  # it may have been killed a moment ago
        if members:
            raise ReplayError(f"the replay {self.name!r} is running, on {members[0]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._consumer.close()


def running_replays(kafka: KafkaSettings, topics: Topics) -> list[ReplayState]:
    """The replays that run, or that stopped before their end, by name.

    Raises:
        KafkaException: the broker can't be reached, or refuses.
    """
    admin = admin_client(kafka)
    prefix = group_of(topics, "")
    groups = admin.list_consumer_groups(request_timeout=TIMEOUT_SECONDS).result().valid
    names = sorted(each.group_id for each in groups if each.group_id.startswith(prefix))
    partitions = admin.list_topics(topics.events, timeout=TIMEOUT_SECONDS).topics[topics.events].partitions
    places = [TopicPartition(topics.events, number) for number in partitions]
    states = (_state(kafka, admin, name, prefix, places) for name in names)
    return [state for state in states if state is not None]


def forget(kafka: KafkaSettings, topics: Topics, name: str) -> None:
    """Drop a replay that stopped: what it sent stays sent.

    Raises:
        ReplayError: there is none, or it runs.
    """
    admin, group = admin_client(kafka), group_of(topics, name)
    if all(each.name != name for each in running_replays(kafka, topics)):
        raise ReplayError(f"there is no replay {name!r}")
    if members := _members(admin, group):
        raise ReplayError(f"the replay {name!r} is running, on {members[0]}")
    _delete(admin, group)


def group_of(topics: Topics, name: str) -> str:
    """The consumer group of a replay."""
    return f"{topics.prefix}replay.{name}"


def _state(
    kafka: KafkaSettings, admin: AdminClient, group: str, prefix: str, places: list[TopicPartition]
) -> ReplayState | None:
    with closing(observer(kafka, group)) as observing:
        committed = observing.committed(places, timeout=TIMEOUT_SECONDS)
    memo = next((memo for each in committed if (memo := _memo(each))), None)
    if memo is None:
        return None
    members = _members(admin, group)
    return ReplayState(
        name=group.removeprefix(prefix),
        running=bool(members),
        host=members[0] if members else None,
        view=memo.asked.view if memo.asked else None,
        options=memo.options,
        planned=memo.planned,
        counts=memo.counts,
    )


def _memo(committed: TopicPartition) -> Memo | None:
    if committed.offset < 0 or not committed.metadata:
        return None
    try:
        return Memo.model_validate_json(committed.metadata)
    except ValidationError:
        return None


def _members(admin: AdminClient, group: str) -> list[str]:
    """Where the group's members are."""
    try:
        found = admin.describe_consumer_groups([group], request_timeout=TIMEOUT_SECONDS)[group].result()
    except KafkaException as error:
        if is_passing(error):
            raise
        return []  # how newer brokers say that there is no such group
    return [str(member.client_id) for member in found.members]


def _delete(admin: AdminClient, group: str) -> None:
    admin.delete_consumer_groups([group], request_timeout=TIMEOUT_SECONDS)[group].result()
