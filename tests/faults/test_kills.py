"""Workers killed with SIGKILL while they work: another goes on, and nothing is lost."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path

from schemas.events import Event
from tests.harness import Installation, WorkerProcess, draw, event, eventually, listing

KILLS = 5
PRODUCTS = 300
PICTURES = 40


def test_a_worker_killed_at_random_moments_and_restarted_loses_nothing(shop: Installation, tmp_path: Path) -> None:
    seed = time.time_ns() % 1_000_000
    chance = random.Random(seed)
    print(f"seed {seed}")
    expected = _publish_random_history(shop, chance, tmp_path, products=1000)
    done: list[int] = []

    for _ in range(KILLS):
        with shop.worker() as worker:
            some = chance.randint(1, 200)
            done.append(eventually(partial(_settled, worker, some), what=f"{some} events settled"))
            worker.kill()
    print(f"killed after {done} events settled by each, of {2 * 1000} published")
    assert not shop.caught_up(), "it was done before the last kill"
    with shop.worker() as worker:
        eventually(shop.caught_up, what="the rest")
        eventually(worker.ready)
        assert worker.stop() == 0

    _holds(shop, expected)
    assert not shop.dead_letters()


def test_when_one_of_two_workers_is_killed_the_other_goes_on_and_nothing_is_lost(
    shop: Installation, tmp_path: Path
) -> None:
    chance = random.Random(2)
    with shop.worker() as one, shop.worker() as two:
        _until_both_work(shop, one, two)
        expected = _publish_random_history(shop, chance, tmp_path)
        eventually(lambda: _progress(shop) > 0.05, what="work to interrupt")
        one.kill()
        start = time.monotonic()
        expected |= _publish_random_history(shop, chance, tmp_path, first=PRODUCTS)
        eventually(shop.caught_up, within=40, what="the survivor on all partitions")
        print(f"caught up {time.monotonic() - start:.1f} s after the kill; the session timeout is 6 s")
        assert two.stop() == 0

    _holds(shop, expected)
    assert not shop.dead_letters()


def test_a_third_worker_joins_and_leaves_under_load_and_nothing_is_lost(shop: Installation, tmp_path: Path) -> None:
    chance = random.Random(3)
    with shop.worker() as one:
        expected = _publish_random_history(shop, chance, tmp_path)
        with shop.worker() as two:
            eventually(lambda: _working(two) or shop.caught_up(), what="the second worker to get partitions")
            eventually(two.ready)
            assert two.stop() == 0
        expected |= _publish_random_history(shop, chance, tmp_path, first=PRODUCTS)
        eventually(shop.caught_up, what="all of it")
        assert one.stop() == 0

    _holds(shop, expected)
    assert not shop.dead_letters()


def _publish_random_history(
    shop: Installation, chance: random.Random, folder: Path, first: int = 0, products: int = PRODUCTS
) -> dict[str, Event]:
    """Creates, price changes, new pictures and deletes; the last event of each product."""
    urls = [draw(folder / f"{number}.jpg", number) for number in range(PICTURES)]
    last: dict[str, Event] = {}
    for number in range(first, first + products):
        name = f"p{number}"
        last[name] = listing(name, chance.sample(urls, chance.randint(1, 3)), price=1)
        shop.publisher.publish(last[name])
    for name in chance.choices(list(last), k=products):
        last[name] = _later(last[name], chance, urls)
        shop.publisher.publish(last[name])
    shop.publisher.flush()
    return last


def _later(before: Event, chance: random.Random, urls: list[str]) -> Event:
    name, roll = before.product_id, chance.random()
    if roll < 0.2:
        return event("deleted", name)
    if roll < 0.6 and before.product:
        return listing(name, [image.url for image in before.images], price=chance.randint(2, 99))
    return listing(name, chance.sample(urls, chance.randint(1, 3)), price=1)


def _holds(shop: Installation, expected: dict[str, Event]) -> None:
    payloads = {name: held for name, held in shop.payloads().items() if not name.startswith("warm-")}
    assert payloads.keys() == expected.keys()
    for name, wanted in expected.items():
        held = payloads[name]
        assert (held.version, held.deleted) == (wanted.version, wanted.deleted), name
        assert [entry.url for entry in held.encoded_images] == [image.url for image in wanted.images], name


def _progress(shop: Installation) -> float:
    total = sum(high for _, high in shop.watermarks().values())
    return sum(shop.committed().values()) / total


def _settled(worker: WorkerProcess, some: int) -> int | None:
    settled = round(worker.metric("freshline_events_total"))
    return settled if settled >= some else None


def _working(worker: WorkerProcess) -> bool:
    return worker.metric("freshline_events_total") > 0


def _until_both_work(shop: Installation, one: WorkerProcess, two: WorkerProcess) -> None:
    def both() -> bool:
        shop.publish(*(event("deleted", f"warm-{number}") for number in range(8)))
        return _working(one) and _working(two)

    eventually(both, what="both workers to have partitions")
