"""Everything is delivered again: nothing changes, and nothing is encoded again."""

from __future__ import annotations

from tests.chaos.crew import settled
from tests.chaos.groups import lag, rewind
from tests.chaos.judge import payload_digest, read_view
from tests.chaos.scale import at
from tests.chaos.scenario import Scenario
from tests.harness import eventually

PER_SECOND = 200


def test_everything_delivered_again_changes_nothing_and_encodes_nothing(scenario: Scenario) -> None:
    shop = scenario.shop
    topic, group = shop.settings.topics.events, shop.settings.group(shop.view, "live")
    with scenario.load(PER_SECOND) as load, shop.worker() as first:
        load.last(at(5, 60))
        load.stop()
        eventually(scenario.drained, what="all of it")
        assert first.stop() == 0
    before = read_view(shop)

    rewind(shop, topic, group)
    assert lag(shop, topic, group) == load.published
    with shop.worker() as again:
        eventually(scenario.drained, what="all of it, once more")
        assert settled(again) == load.published
        # What is incomplete is tried again, and fails again.
        assert again.metric("freshline_events_total", outcome="indexed") == load.counts["missing"]
        assert again.metric("freshline_stage_seconds_count", stage="encode") == 0
        assert again.stop() == 0

    assert payload_digest(read_view(shop)) == payload_digest(before)
    scenario.ends("all redelivered", "1 rewind", load)
