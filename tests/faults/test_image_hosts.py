"""Image hosts that are ill in every way: the others' products go on, and all is completed once they are well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.chaos.load import Load
from tests.chaos.scale import at
from tests.chaos.scenario import Scenario
from tests.harness import eventually, listing
from tests.image_host import Drip, Hang, ImageHost, Status, image_host

HOSTS = 4
PER_SECOND = 50
ENV = {
    "FRESHLINE_IMAGE_ALLOW_NETWORKS": "127.0.0.0/8",
    "FRESHLINE_IMAGE_TIMEOUT_SECONDS": at("2", "10"),
    "FRESHLINE_RETRY_DELAY_SECONDS": at("2", "10"),
}
SECONDS = at(4, 60)
"""Of each illness."""


@pytest.fixture
def hosts() -> Iterator[list[ImageHost]]:
    with ExitStack() as stack:
        yield [stack.enter_context(image_host()) for _ in range(HOSTS)]


def _bursts(ill: ImageHost, load: Load) -> None:
    for _ in range(SECONDS):
        ill.tell(Status(503, times=20))
        load.last(1)


def _told(trouble: Drip | Hang | Status) -> Callable[[ImageHost, Load], None]:
    def fall_ill(ill: ImageHost, load: Load) -> None:
        ill.tell(trouble)
        load.last(SECONDS)

    return fall_ill


def _down(ill: ImageHost, load: Load) -> None:
    ill.down()
    load.last(SECONDS)
    ill.up()


ILLNESSES: dict[str, Callable[[ImageHost, Load], None]] = {
    "down": _down,
    "hangs": _told(Hang()),
    "1 byte/s": _told(Drip()),
    "429": _told(Status(429, {"Retry-After": "2"})),
    "bursts of 503": _bursts,
}


@pytest.mark.timeout(at(300, 1800))
def test_an_ill_image_host_delays_none_but_its_own_products_and_these_are_completed(
    scenario: Scenario, hosts: list[ImageHost]
) -> None:
    """One host of four falls ill in one way after the other; each time a product of another host still comes in."""
    pictures = _served(scenario, hosts)
    well = [url for url in pictures if urlsplit(url).port != hosts[0].port]
    shop = scenario.shop
    with (
        scenario.load(PER_SECOND, pictures) as load,
        shop.worker(**ENV) as live,
        shop.worker("retry", **ENV) as retry,
    ):
        load.last(1)
        for name, fall_ill in ILLNESSES.items():
            fall_ill(hosts[0], load)
            load.expected[name] = listing(name, well[:1])
            shop.publish(load.expected[name])
            eventually(lambda name=name: shop.payload(name), what=f"a bystander of {name}")  # type: ignore[misc]
            hosts[0].heal()
        load.stop()
        eventually(scenario.drained, within=at(60, 300), what="the live lane")
        eventually(lambda: scenario.drained("retry"), within=at(60, 300), what="the retry lane")
        print(f"parked {live.metric('freshline_events_total', outcome='parked'):.0f}")
        assert live.metric("freshline_events_total", outcome="parked") > 0
        assert live.stop() == retry.stop() == 0

    scenario.ends("image host ill", f"{len(ILLNESSES)} illnesses", load, pictures)


def _served(scenario: Scenario, hosts: list[ImageHost]) -> Mapping[str, bytes]:
    """The scenario's pictures, each on one of the hosts."""
    files = enumerate(scenario.pictures.items())
    return {hosts[number % HOSTS].add(f"/{Path(url).name}", data): data for number, (url, data) in files}
