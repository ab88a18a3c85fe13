"""How many dead letters are too many: a bad deploy must stop, not drain the topic into them.

After the limits of Sentry's arroyo on its dead-letter queue: a run, and a share of the latest records.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from schemas.dead_letters import Reason

OURS = frozenset(
    {
        Reason.INVALID_KEY,
        Reason.INVALID_JSON,
        Reason.INVALID_EVENT,
        Reason.INVALID_VERSION,
        Reason.KEY_MISMATCH,
        Reason.NULL_VALUE,
        Reason.INTERNAL,
    }
)
"""Reasons that a bug or a wrong setting of ours, or of a publisher, gives to every record."""


class TooManyDeadLetters(RuntimeError):
    """The worker must stop; the record at hand is not given up on."""


@dataclass(frozen=True)
class LimitSettings:
    """Past any of these a worker stops."""

    run: int = 100
    """Dead letters one after another."""
    share: float = 0.5
    """Of the latest `window` records."""
    window: int = 1000


class DeadLetterLimit:
    """Counts records as they are settled."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._run = 0
        self._latest: deque[bool] = deque(maxlen=settings.window)
        self._bad = 0

    def passed(self) -> None:
        """A record got through, or failed for a reason of its own."""
        self._run = 0
        self._count(bad=False)

    def failed(self, reason: Reason) -> None:
        """Ask before a record is given up on.

        Raises:
            TooManyDeadLetters: the settings' limits are passed.
        """
        if reason not in OURS:
            return
        if self._run >= self._settings.run:
            raise TooManyDeadLetters(f"{self._run} dead letters one after another, the last: {reason}")
        full = len(self._latest) == self._settings.window
        if full and self._bad >= self._settings.share * self._settings.window:
            raise TooManyDeadLetters(f"{self._bad} dead letters of the latest {self._settings.window} records")
        self._run += 1
        self._count(bad=True)

    def _count(self, *, bad: bool) -> None:
        if len(self._latest) == self._settings.window:
            self._bad -= self._latest[0]
        self._latest.append(bad)
        self._bad += bad
