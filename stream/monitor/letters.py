"""How many dead letters wait, by reason: read as they come, in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import blake2b
from types import TracebackType
from typing import NamedTuple, Self

from pydantic import ValidationError

from schemas.dead_letters import DeadLetter
from stream.kafka import KafkaSettings
from stream.letterbox import Letterbox
from stream.monitor.state import LetterCount

MOST = 200_000
"""Letters that are told apart: some 30 MB."""
RECENT_SECONDS = 24 * 3600
UNREADABLE = "unreadable"


class _Entry(NamedTuple):
    reason: str
    seconds: int
    """When it was given up on, since 1970."""
    waiting: bool


class LetterCounts:
    """What the letters of the topic come to. Written on one thread, read on any."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._entries: dict[bytes, _Entry] = {}
        self._lock = threading.Lock()
        self.dropped = 0
        """The oldest ones, that there was no room for."""

    def take(self, key: bytes, value: bytes | None) -> None:
        """The newest record of a key; None removes the letter."""
        digest = blake2b(key, digest_size=8).digest()
        entry = None if value is None else _entry(value)
        with self._lock:
            self._entries.pop(digest, None)
            if entry is not None:
                self._entries[digest] = entry
                if len(self._entries) > self._most:
                    self._entries.pop(next(iter(self._entries)))
                    self.dropped += 1

    def counts(self, now_seconds: float) -> list[LetterCount]:
        """By reason, the most waiting first."""
        with self._lock:
            entries = list(self._entries.values())
        recent = Counter(entry.reason for entry in entries if entry.seconds >= now_seconds - RECENT_SECONDS)
        waiting = Counter(entry.reason for entry in entries if entry.waiting)
        counts = [
            LetterCount(reason=reason, recent=recent[reason], waiting=waiting[reason])
            for reason in {entry.reason for entry in entries}
        ]
        return sorted(counts, key=lambda count: (-count.waiting, -count.recent, count.reason))


class LetterReader:
    """Reads the topic on from where it was. A context manager."""

    def __init__(self, kafka: KafkaSettings, topic: str, counts: LetterCounts) -> None:
        self._box = Letterbox(kafka, topic, patience_seconds=10.0)
        self._counts = counts

    def read(self, goes_on: Callable[[], bool]) -> None:
        """Take what came since the last time; what a failure cuts short comes again.

        Raises:
            LetterboxError: Kafka, the topic or a leader is away.
        """
        news: Iterable[tuple[bytes, bytes | None]] = self._box.news()
        for key, value in news:
            self._counts.take(key, value)
            if not goes_on():
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._box.__exit__(kind, error, _)


def _entry(value: bytes) -> _Entry:
    try:
        letter = DeadLetter.model_validate_json(value)
    except ValidationError:
        return _Entry(UNREADABLE, round(time.time()), waiting=True)
    return _Entry(letter.reason.value, round(letter.time.timestamp()), waiting=letter.redriven_at is None)
