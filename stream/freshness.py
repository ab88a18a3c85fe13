"""How fresh one event is: when it became readable, where its time went, and that it counts once (docs/freshness.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from schemas.events import Event
from stream.metrics import Metrics
from stream.records import Journey

PROMISE_SECONDS = 3600.0
"""An accepted live event is readable this long after it occurred, or it is a miss."""

Part = Literal["before_kafka", "waiting", "parked", "turn", "decide", "fetch", "decode", "encode", "write"]
PARTS: tuple[Part, ...] = get_args(Part)
"""In the order of time; an event has those that it went through."""


class Laps:
    """Where the time of one event went: a part lasts from the end of the one before it to its own last end.

    Three clocks meet here: the publisher's, the broker's and ours. An event has not occurred after it was appended,
    nor was it appended after it was received: whatever says so is cut to that, so that no part is below zero.

    Args:
        event: when it occurred.
        journey: when it was appended, and met its first trouble.
        now: seconds since the epoch.
    """

    __slots__ = ("_began", "_ends", "_now")

    def __init__(self, event: Event, journey: Journey, now: Callable[[], float]) -> None:
        received = now()
        appended = min(journey.source.timestamp_ms / 1000, received)
        self._now = now
        self._began = min(event.occurred_at.timestamp(), appended)
        self._ends: dict[str, float] = {"before_kafka": appended, "waiting": received}
        if journey.first_seen_ms is not None:
            self._ends |= {"waiting": min(journey.first_seen_ms / 1000, received), "parked": received}

    def end(self, part: Part) -> None:
        """This part ends now. Of a product's pictures, each says so: the last of them counts."""
        self._ends[part] = self._now()

    @property
    def age(self) -> float:
        """Seconds since the event occurred."""
        return self._now() - self._began

    def parts(self) -> dict[str, float]:
        """Seconds of each part so far. They add up to the time from `occurred_at` to the last end."""
        found: dict[str, float] = {}
        last = self._began
        for part in PARTS:
            if (end := self._ends.get(part)) is not None:
                found[part] = max(0.0, end - last)
                last = max(last, end)
        return found


class Tally:
    """Counts one event as fresh or as missed: once, however often it comes again."""

    __slots__ = ("_journey", "_laps", "_metrics", "_type", "counted")

    def __init__(self, metrics: Metrics, event: Event, journey: Journey, laps: Laps) -> None:
        self._metrics = metrics
        self._type = event.type
        self._journey = journey
        self._laps = laps
        self.counted = journey.counted
        """Whether this is done: here, at an earlier attempt, or by another worker."""

    def readable(self) -> None:
        """A search can find it from now on."""
        if self.counted:
            return
        self.counted = True
        parts = self._laps.parts()
        seconds = sum(parts.values())
        self._metrics.fresh(self._journey.lane, self._type, seconds, parts)
        if seconds > PROMISE_SECONDS:
            self._missed("late")

    def parked(self) -> None:
        """It is not readable, and will be tried again."""
        if not self.counted and self._laps.age > PROMISE_SECONDS:
            self._missed("parked_past")

    def given_up(self) -> None:
        """It is not readable, for a cause that is not its own."""
        if not self.counted:
            self._missed("dead_lettered")

    def _missed(self, why: Literal["late", "parked_past", "dead_lettered"]) -> None:
        self.counted = True
        if self._journey.lane == "live":
            self._metrics.missed(why)
