"""Sending the events of dead letters again, and marking their letters. Safe to repeat, and to be cut off anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from pydantic import ValidationError

from schemas.dead_letters import DeadLetter
from schemas.events import MAX_EVENT_BYTES
from schemas.headers import FORCE, Source
from schemas.retentions import SETTING, lifetimes
from schemas.topics import DAY_MS, Topics
from stream.letterbox import Filed, Letterbox
from stream.resend import Resender

BATCH_LETTERS = 500
BATCH_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Redrivable:
    """Which letters may be redriven: not those whose event a swept tombstone might no longer keep out."""

    topics: Topics
    tombstones: timedelta
    """How long they stay."""

    def refusal(self, letter: DeadLetter, now: datetime) -> str | None:
        """Why a letter's event can't be sent again, or None."""
        if letter.topic != self.topics.events:
            return f"a record of {letter.topic} that names no event of {self.topics.events}: nothing can be sent again"
        if letter.value is not None and len(letter.value) > MAX_EVENT_BYTES:
            return f"its event has {len(letter.value):,} bytes; at most {MAX_EVENT_BYTES:,} are taken"
        age = now.timestamp() * 1000 - letter.timestamp_ms
        if age + self._on_the_way > self.tombstones / timedelta(milliseconds=1):
            return (
                f"its event is {age / DAY_MS:,.0f} days old: a delete since then may be forgotten when it arrives "
                f"(after {self.tombstones.days} days, {SETTING}; {self.topics.replay} keeps events up to "
                f"{self._on_the_way / DAY_MS:g}): have the catalogue service publish the product again"
            )
        return None

    @cached_property
    def _on_the_way(self) -> float:
        """How long the replay topic may keep an event before a worker reads it, in ms."""
        configs = {spec.name: spec.config for spec in self.topics.specs() if spec.name == self.topics.replay}
        return max(life.milliseconds for life in lifetimes(self.topics, configs))


class Redriver:
    """Sends events to the replay lane, then marks their letters.

    Cut off between the two, it leaves letters unmarked whose events are sent: the next run sends them again, which
    changes nothing. A worker may give up on an event again before its letter is marked: that newer letter is put back.
    """

    def __init__(
        self, letterbox: Letterbox, resender: Resender, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._letterbox = letterbox
        self._resender = resender
        self._clock = clock

    def redrive(self, filed: Iterable[Filed]) -> Iterator[int]:
        """Send all of them, in batches; how many each batch had.

        Raises:
            PublishError, LetterboxError: the rest is as it was; run it again.
        """
        for batch in _batches(filed):
            self._send(batch)
            self._mark(batch)
            yield len(batch)

    def _send(self, batch: Sequence[Filed]) -> None:
        for letter in (entry.letter for entry in batch):
            self._resender.send(
                letter.key,
                letter.value,
                Source(letter.partition, letter.offset, letter.timestamp_ms),
                view=letter.view,
                force=any(name == FORCE for name, _ in letter.headers),
                attempts=letter.attempts,
            )
        self._resender.flush()

    def _mark(self, batch: Sequence[Filed]) -> None:
        mark = self._clock()
        for entry in batch:
            marked = entry.letter.model_copy(update={"redriven_at": mark})
            self._letterbox.put(entry.key, marked.model_dump_json().encode())
        self._letterbox.flush()
        for key, value in overwritten(self._letterbox.news(), {entry.key for entry in batch}, mark).items():
            self._letterbox.put(key, value)
        self._letterbox.flush()


def overwritten(
    news: Iterable[tuple[bytes, bytes | None]], keys: set[bytes], mark: datetime
) -> dict[bytes, bytes | None]:
    """The newest record of each key that came from elsewhere, where our mark came after it and hides it."""
    others: dict[bytes, bytes | None] = {}
    hidden: dict[bytes, bytes | None] = {}
    for key, value in news:
        if key not in keys:
            continue
        if not _is_marked(value, mark):
            others[key] = value
            hidden.pop(key, None)
        elif key in others:
            hidden[key] = others[key]
    return hidden


def _is_marked(value: bytes | None, mark: datetime) -> bool:
    try:
        return DeadLetter.model_validate_json(value or b"").redriven_at == mark
    except ValidationError:
        return False


def _batches(filed: Iterable[Filed]) -> Iterator[list[Filed]]:
    batch: list[Filed] = []
    size = 0
    for entry in filed:
        batch.append(entry)
        size += len(entry.letter.value or b"")
        if len(batch) >= BATCH_LETTERS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
