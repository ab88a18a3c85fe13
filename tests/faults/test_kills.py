"""Workers killed with SIGKILL while they work: others go on, and nothing is lost."""

from __future__ import annotations

import time

import pytest

from tests.chaos.crew import Crew, settled
from tests.chaos.scale import at
from tests.chaos.scenario import Scenario
from tests.harness import eventually

KILLS = at(5, 100)
PER_SECOND = 100


@pytest.mark.timeout(at(300, 2400))
def test_workers_that_are_killed_again_and_again_under_load_lose_nothing(scenario: Scenario) -> None:
    """Half of the kills hit a worker in the middle of its work, the others any, also one that starts or rebalances."""
    chance = scenario.chance
    with scenario.load(PER_SECOND) as load, Crew(scenario.shop, 2) as crew:
        for number in range(KILLS):
            if number % 2:
                load.more(chance.randint(1, 2 * PER_SECOND))
                crew.kill(crew.any(chance))
            else:
                crew.kill(crew.at_work(chance.randint(1, 2 * PER_SECOND)))
        load.stop()
        eventually(scenario.shop.caught_up, within=at(60, 600), what="the rest")
        crew.stop()
    print(f"killed after {crew.settled} events settled by each")

    scenario.ends("workers killed", f"{KILLS} SIGKILLs", load)


def test_when_one_of_two_workers_is_killed_the_other_goes_on_and_nothing_is_lost(scenario: Scenario) -> None:
    shop = scenario.shop
    with scenario.load(PER_SECOND) as load, shop.worker() as one, shop.worker() as two:
        eventually(lambda: settled(one) > 0 and settled(two) > 0, what="both workers to have partitions")
        load.last(1)
        one.kill()
        load.last(1)
        load.stop()
        start = time.monotonic()
        eventually(shop.caught_up, within=40, what="the survivor on all partitions")
        print(f"caught up {time.monotonic() - start:.1f} s after the load's end; the session timeout is 6 s")
        assert two.stop() == 0

    scenario.ends("one of two killed", "1 SIGKILL", load)


def test_a_third_worker_joins_and_leaves_under_load_and_nothing_is_lost(scenario: Scenario) -> None:
    shop = scenario.shop
    with scenario.load(PER_SECOND) as load, shop.worker() as one:
        with shop.worker() as two:
            eventually(lambda: settled(two) > 0, what="the second worker to get partitions")
            assert two.stop() == 0
        load.last(1)
        load.stop()
        eventually(shop.caught_up, what="all of it")
        assert one.stop() == 0

    scenario.ends("join and leave", "2 rebalances", load)
