"""A live worker killed while it diverts an import: nothing of the import is lost, and live products go on."""

from __future__ import annotations

from tests.chaos.groups import lag
from tests.chaos.scale import at
from tests.harness import Installation, draw, eventually, listing

EVENTS = at(4000, 40_000)
KILLS = at(3, 20)


def test_a_worker_that_is_killed_while_it_diverts_loses_nothing(shop: Installation) -> None:
    pictures = [draw(shop.folder / f"{number}.jpg", number) for number in range(8)]
    for number in range(EVENTS):
        shop.publisher.publish(listing(f"i{number % 400}", [pictures[number % 8]], price=number), bulk=True)
    shop.publish(listing("live", pictures[:1]))

    diverted = 0
    for kill in range(KILLS):
        with shop.worker() as worker:
            few = (kill + 1) * EVENTS // (KILLS + 2) // KILLS
            eventually(lambda: worker.metric("freshline_events_total", outcome="diverted") > few)  # noqa: B023
            diverted += round(worker.metric("freshline_events_total", outcome="diverted"))
    with shop.worker(), shop.worker("replay", FRESHLINE_YIELD_SECONDS="0"):
        eventually(shop.caught_up, what="the live lane")
        group = shop.settings.group(shop.view, "replay")
        eventually(lambda: lag(shop, shop.settings.topics.replay, group) == 0, within=120, what="the replay lane")
    print(f"{KILLS} SIGKILLs, at least {diverted} of {EVENTS} diverted before them")

    payloads = shop.payloads()
    assert {name: payload.price for name, payload in payloads.items() if name != "live"} == {
        f"i{number}": EVENTS - 400 + number for number in range(400)
    }
    assert payloads["live"].encoded_images
    assert shop.dead_letters() == []
