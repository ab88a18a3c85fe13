"""Kafka or Qdrant killed with SIGKILL under a working worker, and started again: it holds on, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.stack import LocalStack
from tests.harness import Installation, draw, eventually, listing

EVENTS = 400


@pytest.fixture
def mended(stack: LocalStack) -> Iterator[LocalStack]:
    """The shared stack, whole again at the end."""
    yield stack
    stack.up()


@pytest.mark.parametrize("part", ["qdrant", "kafka"])
def test_a_part_that_is_killed_and_comes_back_costs_nothing_but_time(
    mended: LocalStack, shop: Installation, tmp_path: Path, part: str
) -> None:
    with shop.worker() as worker:
        _publish(shop, tmp_path)
        eventually(lambda: worker.metric("freshline_events_total") > 0)
        mended.kill(part)
        assert not worker.exited(within=3), worker.log.read_text()
        mended.start(part)

        eventually(shop.caught_up, what="all of it")
        assert worker.stop() == 0

    assert set(shop.payloads()) == {f"p{number}" for number in range(EVENTS)}
    assert not shop.dead_letters()


@pytest.mark.parametrize("part", ["qdrant", "kafka"])
def test_a_worker_leaves_within_its_deadlines_while_a_part_is_away(
    mended: LocalStack, shop: Installation, tmp_path: Path, part: str
) -> None:
    with shop.worker(FRESHLINE_DRAIN_SECONDS="2") as worker:
        _publish(shop, tmp_path)
        eventually(lambda: worker.metric("freshline_events_total") > 0)
        mended.kill(part)
        start = time.monotonic()
        worker.stop(within=40)
        print(f"without {part}, SIGTERM to exit: {time.monotonic() - start:.1f} s")
        mended.start(part)

    with shop.worker():
        eventually(shop.caught_up, what="the rest, by the next worker")

    assert set(shop.payloads()) == {f"p{number}" for number in range(EVENTS)}


def _publish(shop: Installation, folder: Path) -> None:
    urls = [draw(folder / f"{number}.jpg", number, size=600) for number in range(20)]
    shop.publish(*(listing(f"p{number}", [urls[number % len(urls)]]) for number in range(EVENTS)))
