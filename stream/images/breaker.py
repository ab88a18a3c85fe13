"""A circuit breaker: whether a host may be asked, judged by what became of the latest visits. Pure; waits for nothing.

Closed, all may ask. Open, nobody may, until the host has rested; then one visit at a time goes as a probe, and what
becomes of it closes the breaker or opens it for longer.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
"""Seconds from any start, never backwards."""


@dataclass(frozen=True)
class BreakerSettings:
    """When a host counts as ill, and how long it is left alone."""

    outcomes: int = 20
    """The latest visits that count."""
    memory_seconds: float = 60.0
    """Older ones don't."""
    failures: int = 5
    """So many in a row open it, or so many if they are half of those that count: the first volley of timeouts does."""
    suspicious: int = 3
    """So many failures in a row make a host ill, though it is still asked."""
    rest_seconds: float = 5.0
    """Before the first probe; doubled after each that fails."""
    longest_rest_seconds: float = 40.0
    longest_asked_rest_seconds: float = 300.0
    """Of the rest that a host asks for itself (`Retry-After`)."""


class Breaker:
    """Of one host."""

    def __init__(self, settings: BreakerSettings, clock: Clock = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=settings.outcomes)
        self._in_a_row = 0
        self._due: float | None = None
        self._rests = 0
        self._probing = False
        self.proven = False
        """It was well once."""
        self.tried_at = float("-inf")
        """When the last visit ended that says how the host is."""
        self.worse_since = float("-inf")
        """When it last got worse: from well to failing, or from failing to ill."""

    @property
    def is_open(self) -> bool:
        """Nobody but a probe may ask."""
        return self._due is not None

    @property
    def refuses(self) -> bool:
        """Nobody may ask now."""
        return self._due is not None and (self._probing or self._clock() < self._due)

    @property
    def is_ill(self) -> bool:
        """Open, or about to be."""
        return self.is_open or self._in_a_row >= self._settings.suspicious

    @property
    def rest(self) -> float:
        """Seconds until a visit may be tried."""
        if self._due is None:
            return 0.0
        return max(0.0 if not self._probing else self._settings.rest_seconds, self._due - self._clock())

    def begin(self) -> bool:
        """A visit begins, which `refuses` has not forbidden. Returns whether it is a probe."""
        self._probing = self._probing or self.is_open
        return self.is_open

    def end(self, well: bool | None, *, probe: bool, rest_seconds: float = 0.0) -> None:
        """A visit is over.

        Args:
            well: how the host was; None if the visit doesn't tell, because it was broken off.
            probe: what `begin` returned.
            rest_seconds: how long the host asked to be left alone.
        """
        if probe:
            self._probing = False
        if well is None:
            return
        self.tried_at = self._clock()
        if probe or not self.is_open:  # an open one is not judged by visits that began before
            self._judge(well, probe)
        if not well and rest_seconds:
            self._open_for(min(rest_seconds, self._settings.longest_asked_rest_seconds))

    def _judge(self, well: bool, probe: bool) -> None:
        was_ill = self.is_ill
        self._in_a_row = 0 if well else self._in_a_row + 1
        self.proven = self.proven or well
        if well and probe:
            self._close()
        self._outcomes.append((self.tried_at, well))
        if not well and (probe or self._is_enough()):
            longest = self._settings.longest_rest_seconds
            self._open_for(min(longest, self._settings.rest_seconds * 2**self._rests) * random.uniform(0.8, 1.2))  # noqa: S311
            self._rests = min(self._rests + 1, 16)
        if not well and (self._in_a_row == 1 or self.is_ill != was_ill):
            self.worse_since = self.tried_at

    def _is_enough(self) -> bool:
        since = self.tried_at - self._settings.memory_seconds
        recent = [well for at, well in self._outcomes if at >= since]
        failed = recent.count(False)
        enough = self._settings.failures
        return self._in_a_row >= enough or (failed >= enough and 2 * failed >= len(recent))

    def _open_for(self, seconds: float) -> None:
        self._due = max(self._due or 0.0, self._clock() + seconds)

    def _close(self) -> None:
        self._due = None
        self._rests = 0
        self._outcomes.clear()
