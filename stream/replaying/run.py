"""The replay itself: send, never too far ahead of the replay lane, and find out what became of each event.

A batch is done when the lane has committed past it: whatever a worker settled is durable by then, in the view, as a
dead letter or on the retry topic, and all three are looked at. Only then does the cursor pass it. So a run that is
killed sends some events twice, which changes nothing, and misses none.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from indexer.store import is_outage
from stream.replaying.cursor import ReplayError
from stream.replaying.feeds import BATCH, Batch, Feed
from stream.replaying.outside import Lane, News, is_passing
from stream.replaying.tally import Counts, Expected, Look, outcome
from stream.resend import Resender

T = TypeVar("T")
MAX_OUTSTANDING = 10_000
PERIOD_SECONDS = 0.25
_PATIENCE_SECONDS = 300.0
_ASK_SECONDS = 5.0


@dataclass(frozen=True)
class Pace:
    """How fast, and how far ahead."""

    outstanding: int = MAX_OUTSTANDING
    """Events that the lane may not have worked off yet."""
    per_second: float | None = None
    """None: as fast as the lane takes them."""
    wait: bool = True
    """For a worker of the lane, where there is none."""

    @property
    def batch(self) -> int:
        """Events at once."""
        most = min(BATCH, self.outstanding)
        return most if self.per_second is None else max(1, min(most, round(self.per_second / 2)))


@dataclass(frozen=True)
class Outside:
    """What the replay looks at."""

    lane: Lane
    news: News
    look: Callable[[Sequence[str]], Mapping[str, Look]]
    resender: Resender


@dataclass(frozen=True)
class _Sent:
    expected: list[Expected]
    position: Mapping[int, int]
    """In `catalog.events`, after these."""
    ends: Mapping[int, int]
    """In `catalog.replay`."""


class Replay:
    """One run over a feed.

    Args:
        feed: the events.
        outside: whom to ask what became of them.
        pace: how fast.
        counts: of earlier runs of the same replay.
        progress: told the counts whenever they change.
        say: told what is being waited for, and None when it is over.
    """

    def __init__(
        self,
        feed: Feed,
        outside: Outside,
        pace: Pace,
        counts: Counts,
        *,
        progress: Callable[[Counts], None] = lambda _: None,
        say: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._feed = feed
        self._outside = outside
        self._pace = pace
        self._progress = progress
        self._say = say
        self._window: deque[_Sent] = deque()
        self._due = self._asked = time.monotonic()
        self._looked = 0.0
        self.counts = counts

    def run(self) -> Counts:
        """Send all, and return when all is worked off.

        Raises:
            ReplayError: no worker is there, and it was not to be waited for.
            PublishError, LetterboxError, ReadingError, KafkaException: of Kafka; run it again.
        """
        self._ask_for_workers()
        for batch in self._feed.batches(self._pace.batch):
            self._wait_for_turn(len(batch.events))
            self._send(batch)
            self._settle()
        while self._window:
            self._wait()
        return self.counts

    @property
    def _outstanding(self) -> int:
        return sum(len(sent.expected) for sent in self._window)

    def _wait_for_turn(self, events: int) -> None:
        while self._window and self._outstanding + events > self._pace.outstanding:
            self._wait()
        if self._pace.per_second is not None:
            while (left := self._due - time.monotonic()) > 0:
                time.sleep(min(left, PERIOD_SECONDS))
                self._settle()
            self._due = max(self._due, time.monotonic() - 1) + events / self._pace.per_second

    def _send(self, batch: Batch) -> None:
        changes = {(each.source.partition, each.source.offset): each.change for each in batch.events}
        before = self._looks([change.event.product_id for change in changes.values() if change])
        expected = [
            Expected(place, change, before[change.event.product_id] if change else Look())
            for place, change in changes.items()
        ]
        if batch.events:
            self._feed.send(batch)
        ends = dict(self._outside.resender.reached) if expected else {}
        self._window.append(_Sent(expected, batch.position, ends))

    def _wait(self) -> None:
        time.sleep(PERIOD_SECONDS)  # Kafka tells nobody of a commit
        if not self._settle() and time.monotonic() > self._asked + _ASK_SECONDS:
            self._ask_for_workers()

    def _settle(self) -> bool:
        """Judge what is worked off; whether there was any."""
        if time.monotonic() < self._looked + PERIOD_SECONDS:
            return False
        self._looked = time.monotonic()
        committed = _patiently(self._outside.lane.committed)
        done: list[_Sent] = []
        while self._window and all(committed.get(number, -1) >= end for number, end in self._window[0].ends.items()):
            done.append(self._window.popleft())
        if done:
            self._judge(done)
        return bool(done)

    def _judge(self, done: list[_Sent]) -> None:
        events = [each for sent in done for each in sent.expected]
        waiting = (each for sent in (*done, *self._window) for each in sent.expected)
        awaited = {each.place for each in waiting}
        _patiently(lambda: self._outside.news.read(awaited))
        after = self._looks([each.change.event.product_id for each in events if each.change])
        letters, parked = self._outside.news.letters, self._outside.news.parked
        self.counts = self.counts.plus(
            *(
                outcome(
                    each,
                    after[each.change.event.product_id] if each.change else Look(),
                    letter=each.place in letters,
                    parked=each.place in parked,
                )
                for each in events
            )
        )
        position = dict(chain.from_iterable(sent.position.items() for sent in done))
        _patiently(lambda: self._feed.settled(position, self.counts))
        self._progress(self.counts)

    def _looks(self, products: Sequence[str]) -> dict[str, Look]:
        found: dict[str, Look] = {}
        for start in range(0, len(products), BATCH):
            some = products[start : start + BATCH]
            found |= _patiently(lambda some=some: self._outside.look(some))  # type: ignore[misc]
        return found

    def _ask_for_workers(self) -> None:
        self._asked = time.monotonic()
        if _patiently(self._outside.lane.workers):
            self._say(None)
        elif not self._pace.wait:
            raise ReplayError("no worker of the replay lane is there: freshline worker --lane replay")
        else:
            self._say("waiting for a worker: freshline worker --lane replay")


def _patiently(call: Callable[[], T]) -> T:
    """Hold on while Kafka or Qdrant is away for some minutes: asking again is harmless."""
    return Retrying(
        retry=retry_if_exception(_may_pass),
        wait=wait_exponential_jitter(multiplier=0.1, max=5),
        stop=stop_after_delay(_PATIENCE_SECONDS),
        reraise=True,
    )(call)


def _may_pass(error: BaseException) -> bool:
    return is_outage(error) or is_passing(error)
