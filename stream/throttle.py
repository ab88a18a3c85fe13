"""How much a worker that yields may take on, judged by how late the live lane is. Pure: no clock, no Kafka."""

from __future__ import annotations

_STEPS = 16


class Throttle:
    """A limit of events in flight: up by a sixteenth of the most each quiet time, halved when live events wait.

    Args:
        most: the limit when nothing is in the way.
        patience_seconds: with an event that waits longer than this, nothing is let in until none waits for half as
            long; with one that waits longer than half of it, the limit is halved.
    """

    def __init__(self, most: int, patience_seconds: float) -> None:
        self._most = most
        self._patience = patience_seconds
        self._limit = 1
        self.paused = False

    @property
    def limit(self) -> int:
        """Events in flight at most; 0 while paused."""
        return 0 if self.paused else self._limit

    def free(self) -> None:
        """There is nobody to yield to."""
        self.paused, self._limit = False, self._most

    def observe(self, waits_seconds: float | None) -> None:
        """Judge by the live lane's oldest waiting event; None where that is not known: then go slowly."""
        if waits_seconds is None:
            self.paused = False
            self._halve()
        elif waits_seconds <= self._patience / 2:
            self._limit = self._limit if self.paused else min(self._most, self._limit + max(1, self._most // _STEPS))
            self.paused = False
        elif not self.paused:
            self._halve()
            self.paused = waits_seconds > self._patience

    def _halve(self) -> None:
        self._limit = max(1, self._limit // 2)
