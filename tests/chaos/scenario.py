"""One scenario: load, faults, the rest worked off, and both judges."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from confluent_kafka import KafkaException

from tests.chaos.groups import lag
from tests.chaos.judge import Verdict, files, judge
from tests.chaos.load import Load
from tests.chaos.scale import seeded
from tests.chaos.table import Row
from tests.harness import Installation, draw

PICTURES = 60


class Scenario:
    """On an installation of its own.

    Args:
        shop: the installation.
        note: takes the row that the scenario comes to.
    """

    def __init__(self, shop: Installation, note: Callable[[Row], None]) -> None:
        self.shop = shop
        self.seed, self.chance = seeded()
        self._note = note
        self._began = time.monotonic()

    @cached_property
    def pictures(self) -> Mapping[str, bytes]:
        """Pictures in the image root, by URL."""
        return files([draw(self.shop.folder / f"{number}.jpg", number) for number in range(PICTURES)])

    def load(self, per_second: float, pictures: Mapping[str, bytes] | None = None) -> Load:
        """A catalogue at work with these pictures, by default those of the image root."""
        missing = (self.shop.folder / "never.jpg").as_uri()
        return Load(self.shop, list(pictures or self.pictures), missing, self.chance, per_second=per_second)

    def drained(self, lane: str = "live") -> bool:
        """Whether a lane has worked off its topic; False while the broker is electing leaders."""
        topics = self.shop.settings.topics
        topic = {"live": topics.events, "retry": topics.retry, "replay": topics.replay}[lane]
        try:
            left = lag(self.shop, topic, self.shop.settings.group(self.shop.view, lane))
        except KafkaException:
            return False
        return left == 0

    def ends(self, name: str, faults: str, load: Load, pictures: Mapping[str, bytes] | None = None) -> Verdict:
        """Hold that nothing is wrong, now that all is worked off, and note the row."""
        verdict = judge(self.shop, load.expected, load.letters, pictures=pictures or self.pictures)
        found = reconcile(self.shop)
        seconds = time.monotonic() - self._began
        self._note(Row(name, faults, load.published, verdict, found["differences"], seconds, self.seed))
        print(f"{name}: {faults}; {load.published} events {dict(load.counts)}")
        assert not verdict.wrong, verdict.wrong
        assert not found["differences"], found
        assert found["counts"]["explained"] == load.counts["missing"]
        return verdict


def reconcile(shop: Installation) -> dict[str, Any]:
    """What `freshline doctor --reconcile` finds."""
    done = shop.run("doctor", "--reconcile", "--json")
    found: dict[str, Any] = json.loads(done.stdout)["reconcile"]
    assert found, done.stdout
    return found
