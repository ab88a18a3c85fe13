"""A catalogue that never rests: random changes at a steady rate, and what they must come to."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Self

from schemas.dead_letters import Reason
from schemas.events import Event
from stream.publisher import discard, producer
from tests.harness import Installation, event, listing

KINDS = {
    "create": 30,
    "price": 30,
    "pictures": 12,
    "delete": 10,
    "duplicate": 10,
    "again": 4,
    "missing": 1,
    "late": 1,
    "invalid": 1,
}
"""What happens, and how often of a hundred: `again` lists a deleted product anew; the last three are dead letters."""


class Load:
    """Publishes from a thread of its own for as long as the context lasts, and flushes at its end.

    Args:
        shop: where to.
        pictures: URLs that can be had.
        missing: a URL that can't be had, ever.
        chance: what happens.
        per_second: events.
    """

    def __init__(
        self,
        shop: Installation,
        pictures: Sequence[str],
        missing: str,
        chance: random.Random,
        *,
        per_second: float,
        prefix: str = "p",
    ) -> None:
        self.expected: dict[str, Event] = {}
        """The last word on each product."""
        self.letters: set[tuple[str, Reason]] = set()
        """Key and reason of each dead letter that there must be; no other may be."""
        self.missing = missing
        self.counts: Counter[str] = Counter()
        self._shop = shop
        self._pictures = pictures
        self._chance = chance
        self._period = 1 / per_second
        self._prefix = prefix
        self._alive: list[str] = []
        self._deleted: list[str] = []
        self._before: dict[str, Event] = {}
        self._changes: dict[str, Callable[[], None]] = {
            "create": self._create,
            "price": self._price,
            "pictures": self._new_pictures,
            "delete": self._delete,
            "duplicate": self._duplicate,
            "again": self._again,
            "missing": self._with_a_missing_picture,
            "late": self._late,
            "invalid": self._invalid,
        }
        self._raw = producer(shop.settings.kafka())
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load")

    @property
    def published(self) -> int:
        """Events so far."""
        return sum(self.counts.values())

    def more(self, events: int) -> None:
        """Return when so many more events are published."""
        until = self.published + events
        while self.published < until:
            if self._error is not None:
                raise self._error
            self._stop.wait(0.01)

    def last(self, seconds: float) -> None:
        """Return when as many more events are published as there are in so many seconds."""
        self.more(round(seconds / self._period))

    def stop(self) -> None:
        """Publish nothing more; return when the broker has everything."""
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        self._shop.publisher.flush()
        assert self._raw.flush(60) == 0

    def _run(self) -> None:
        try:
            due = time.monotonic()
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                due += self._period
                self._one()
        except BaseException as error:
            self._error = error

    def _one(self) -> None:
        kind = self._chance.choices(list(KINDS), list(KINDS.values()))[0]
        needs = {"create": True, "missing": True, "invalid": True, "again": self._deleted}.get(kind, self._alive)
        if not needs:
            kind = "create"
        self._changes[kind]()
        self.counts[kind] += 1

    def _new_name(self) -> str:
        return f"{self._prefix}{self.published}"

    def _some(self) -> list[str]:
        return self._chance.sample(self._pictures, min(len(self._pictures), self._chance.randint(1, 3)))

    def _send(self, change: Event) -> None:
        before = self.expected.get(change.product_id)
        if before is not None and before is not change:
            self._before[change.product_id] = before
        self.expected[change.product_id] = change
        self._shop.publisher.publish(change)

    def _retire(self) -> str:
        """A product that nothing more happens to."""
        return self._alive.pop(self._chance.randrange(len(self._alive)))

    def _create(self) -> None:
        name = self._new_name()
        self._send(listing(name, self._some(), price=1))
        self._alive.append(name)

    def _price(self) -> None:
        name = self._chance.choice(self._alive)
        images = [image.url for image in self.expected[name].images]
        self._send(listing(name, images, price=self._chance.randint(2, 99)))

    def _new_pictures(self) -> None:
        self._send(listing(self._chance.choice(self._alive), self._some(), price=1))

    def _delete(self) -> None:
        name = self._retire()
        self._send(event("deleted", name))
        self._deleted.append(name)

    def _duplicate(self) -> None:
        self._send(self.expected[self._chance.choice(self._alive)])

    def _again(self) -> None:
        name = self._deleted.pop(self._chance.randrange(len(self._deleted)))
        self._send(listing(name, self._some(), price=1))
        self._alive.append(name)

    def _with_a_missing_picture(self) -> None:
        name = self._new_name()
        self._send(listing(name, [self._chance.choice(self._pictures), self.missing]))
        self.letters.add((name, Reason.IMAGE_MISSING))

    def _late(self) -> None:
        """An older event comes after a newer one. Nothing follows: a newer one still would just supersede it."""
        name = self._chance.choice(self._alive)
        if (older := self._before.get(name)) is None or older.deleted or older.version == self.expected[name].version:
            self._price()
            return
        self._alive.remove(name)
        self._shop.publisher.publish(older)
        self.letters.add((name, Reason.OUT_OF_ORDER))

    def _invalid(self) -> None:
        name = self._new_name()
        self._raw.produce(self._shop.settings.topics.events, key=name, value=b"{")
        self._raw.poll(0)
        self.letters.add((name, Reason.INVALID_JSON))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        discard(self._raw)
