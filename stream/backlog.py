"""How long a consumer group's oldest event waits, told from offsets alone: no record is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # its __all__ lacks one

from stream.admin import admin_client
from stream.commits import observer
from stream.kafka import KafkaSettings

REMEMBERED_SECONDS = 120.0
ALONE_SECONDS = 60.0
TIMEOUT_SECONDS = 5.0

Offsets = Mapping[int, int]
"""By partition."""


class Backlog:
    """Remembers where a topic ended when, so that an offset's age is the time since the end first lay behind it."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, Offsets]] = deque()

    def waits(self, now: float, ends: Offsets, committed: Offsets) -> float:
        """Seconds that the oldest waiting event was seen to wait for, at least; 0 if none does.

        Args:
            now: seconds, of any clock that only goes forward.
            ends: the offset after the last one, at that time.
            committed: the offset of the next event to be done; -1 or missing where there is none yet.
        """
        self._ends.append((now, ends))
        while now - self._ends[0][0] > REMEMBERED_SECONDS:
            self._ends.popleft()
        return max((self._age(now, number, end, committed.get(number, -1)) for number, end in ends.items()), default=0)

    def _age(self, now: float, partition: int, end: int, committed: int) -> float:
        if end <= max(0, committed):
            return 0.0
        age = now - next(when for when, ends in self._ends if ends.get(partition, 0) > max(0, committed))
        # One record that nobody ever gets on with is a transaction's marker, or waits for a picture: not for our cores.
        return 0.0 if end == committed + 1 and age > ALONE_SECONDS else age


class GroupReader:
    """Reads a group's offsets from the broker, without joining it. Blocks: call it in a thread."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic

        self._clients: tuple[str, AdminClient, Consumer] | None = None

    def read(self, group: str) -> tuple[Offsets, Offsets]:
        """Where the topic's partitions end, and what the group has committed; (ends, committed).

        Raises:
            KafkaException: the broker can't be reached, or refuses.
        """
        try:
            return self._read(*self._connected(group))
        except KafkaException:
            self._drop()  # clients that saw a group's coordinator go find it again after many minutes only
            raise

    def _read(self, admin: AdminClient, observing: Consumer) -> tuple[Offsets, Offsets]:
        partitions = admin.list_topics(self._topic, timeout=TIMEOUT_SECONDS).topics[self._topic].partitions
        asked = [TopicPartition(self._topic, number) for number in partitions]
        # The commits first: read the other way round, a busy lane would seem to be ahead of its topic.
        committed = observing.committed(asked, timeout=TIMEOUT_SECONDS)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        futures = admin.list_offsets(
            dict.fromkeys(asked, latest),
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=TIMEOUT_SECONDS,
        )
        ends = {partition.partition: future.result().offset for partition, future in futures.items()}
        return ends, {each.partition: each.offset for each in committed}

    def _connected(self, group: str) -> tuple[AdminClient, Consumer]:
        if self._clients is None or self._clients[0] != group:
            self._drop()
            self._clients = group, admin_client(self._kafka), observer(self._kafka, group)
        return self._clients[1:]

    def _drop(self) -> None:
        if self._clients is not None:
            self._clients[2].close()
        self._clients = None
