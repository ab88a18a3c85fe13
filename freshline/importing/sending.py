"""Sending a file's events: in batches that the broker acknowledges, at a rate, and told how far it got."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from freshline.importing.rows import Line
from schemas.events import Event, InvalidEvent
from stream.publisher import Publisher

BATCH = 5000
SLICE_SECONDS = 0.1


@dataclass
class Progress:
    """How far it is."""

    sent: int = 0
    """Events; in a dry run those that would be."""
    refused: int = 0
    bytes_read: int = 0
    rows: int = 0
    """Read so far, those that were skipped included."""
    safe: int = 0
    """Rows that need not be read again: their events are durable, or they are refused."""


@dataclass
class Sender:
    """Sends lines; one is for one file.

    Args:
        publisher: None for a dry run.
        refuse: told of each line that is no event.
        seen: told of the progress, now and then.
        bulk: mark the events as an import's.
        per_second: events at most; 0: as many as it takes.
        skipped: rows that were passed over.
    """

    publisher: Publisher | None
    refuse: Callable[[int, InvalidEvent], None]
    seen: Callable[[Progress], None]
    bulk: bool = False
    per_second: float = 0
    skipped: int = 0
    progress: Progress = field(default_factory=Progress)

    def send(self, lines: Iterable[Line]) -> None:
        """Return when the broker has all of them.

        Raises:
            PublishError: it does not take them; `progress.safe` says how many rows it has.
        """
        progress = self.progress
        progress.rows = progress.safe = self.skipped
        pace = _Pace(self.per_second)
        for line in lines:
            progress.rows += 1
            progress.bytes_read = line.bytes_read
            self._take(line)
            if progress.rows % BATCH == 0:
                self.settle()
            if pace.is_due(progress.sent):
                self.seen(progress)
        self.settle()
        self.seen(progress)

    def settle(self, timeout_seconds: float = 60.0) -> None:
        """Wait until the broker has what was sent so far.

        Raises:
            PublishError: it has not, in time.
        """
        rows = self.progress.rows
        if self.publisher is not None:
            self.publisher.flush(timeout_seconds)
        self.progress.safe = rows

    def _take(self, line: Line) -> None:
        try:
            if not isinstance(line.result, Event):
                raise line.result
            if self.publisher is not None:
                self.publisher.publish(line.result, bulk=self.bulk)
        except InvalidEvent as error:  # also one that is too large as it is sent
            self.progress.refused += 1
            self.refuse(line.number, error)
        else:
            self.progress.sent += 1


class _Pace:
    """Holds back what would be faster than the rate."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._began = time.monotonic()
        self._next = 0.0

    def is_due(self, sent: int) -> bool:
        """Whether to tell of the progress, after such a wait as the rate asks for."""
        now = time.monotonic() - self._began
        if now < self._next and (not self._rate or sent < self._rate * self._next):
            return False
        if self._rate:
            time.sleep(max(0.0, sent / self._rate - now))
        self._next = time.monotonic() - self._began + SLICE_SECONDS
        return True
