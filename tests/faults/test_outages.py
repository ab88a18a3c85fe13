"""Kafka or Qdrant away under a working worker: it holds on as long as it takes, and nothing is lost."""

from __future__ import annotations

import time

import pytest

from infra.local.stack import LocalStack
from tests.chaos.crew import settled
from tests.chaos.scale import at
from tests.chaos.scenario import Scenario
from tests.harness import eventually

PER_SECOND = 100
BOUNCES = at(2, 5)

POLL_INTERVAL = 300
"""Seconds after which Kafka takes the partitions of a consumer that does not poll, by the client's default."""


@pytest.mark.timeout(at(300, 900))
def test_a_broker_that_is_killed_and_comes_back_again_and_again_costs_nothing_but_time(
    mended: LocalStack, scenario: Scenario
) -> None:
    with scenario.load(PER_SECOND) as load, scenario.shop.worker() as worker:
        for _ in range(BOUNCES):
            before = settled(worker)
            eventually(lambda before=before: settled(worker) > before, what="work to interrupt")  # type: ignore[misc]
            load.more(scenario.chance.randint(1, 2 * PER_SECOND))
            mended.kill("kafka")
            load.more(scenario.chance.randint(1, PER_SECOND))
            mended.start("kafka")
        load.stop()
        eventually(scenario.shop.caught_up, within=120, what="the rest")
        assert worker.stop() == 0

    scenario.ends("broker killed", f"{BOUNCES} SIGKILLs", load)


@pytest.mark.parametrize("seconds", at([15], [60, POLL_INTERVAL + 20]))
@pytest.mark.timeout(at(300, 1200))
def test_qdrant_may_be_away_for_as_long_as_it_likes(mended: LocalStack, scenario: Scenario, seconds: int) -> None:
    """The worker holds what it has, keeps its partitions, and goes on by itself.

    While it holds, it doesn't poll. Kafka's clients give their partitions away after five minutes of that by default,
    to another worker that would wait just so; ours allow themselves a week (`stream/consumer.py`). So in full the
    longer outage is longer than Kafka's default, and the worker must not have lost its partitions for one moment.
    """
    with scenario.load(at(PER_SECOND, PER_SECOND // 2)) as load, scenario.shop.worker() as worker:
        eventually(lambda: settled(worker) > PER_SECOND)
        mended.kill("qdrant")
        load.last(seconds)
        assert not worker.exited(within=0), worker.log.read_text()
        mended.start("qdrant")
        load.last(1)
        load.stop()
        eventually(scenario.shop.caught_up, within=at(60, 300), what="the rest")
        assert worker.stop() == 0
        assert "revoked" not in worker.log.read_text().split("Qdrant is away")[1].split('"signal')[0]

    scenario.ends("Qdrant away", f"{seconds} s", load)


@pytest.mark.parametrize("part", ["qdrant", "kafka"])
def test_a_worker_leaves_within_its_deadlines_while_a_part_is_away(
    mended: LocalStack, scenario: Scenario, part: str
) -> None:
    shop = scenario.shop
    with scenario.load(PER_SECOND) as load, shop.worker(FRESHLINE_DRAIN_SECONDS="2") as worker:
        eventually(lambda: settled(worker) > 0)
        mended.kill(part)
        load.more(1)
        start = time.monotonic()
        worker.stop(within=40)
        print(f"without {part}, SIGTERM to exit: {time.monotonic() - start:.1f} s")
        mended.start(part)
        load.stop()

    with shop.worker():
        eventually(shop.caught_up, what="the rest, by the next worker")

    scenario.ends(f"left without {part}", "1 SIGTERM", load)
