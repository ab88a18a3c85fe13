"""A rollout to another model and back, under searches and changes, with a worker killed: no shopper notices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from encoders.bundle import Bundle
from schemas.events import Event
from tests.chaos.judge import files, judge
from tests.chaos.load import Load
from tests.chaos.scale import at, seeded
from tests.chaos.shoppers import Shoppers
from tests.harness import Installation, eventually, listing

STILL = 40
PER_SECOND = 20.0
SETTLED_SECONDS = 10
"""The goal of freshness: what changed longer ago must be seen."""


@pytest.fixture
def known_models(bundles: tuple[Bundle, Bundle]) -> dict[str, str]:
    return {"FRESHLINE_BUNDLE": str(bundles[0].folder), "FRESHLINE_BUNDLES": str(bundles[1].folder)}


def flat(path: Path, colour: tuple[int, int, int]) -> str:
    """A picture of one colour; its URL."""
    Image.new("RGB", (16, 16), colour).save(path, "PNG")
    return path.as_uri()


def test_a_rollout_and_its_rollback_disturb_no_shopper(shop: Installation, bundles: tuple[Bundle, Bundle]) -> None:
    first, (old, new) = shop.view, bundles
    still = {
        f"still-{number}": flat(shop.folder / f"still-{number}.png", (250, 6 * number, 10)) for number in range(STILL)
    }
    greys = files([flat(shop.folder / f"grey-{number}.png", (number, number, number)) for number in range(100, 160)])
    shop.publish(*(listing(name, [url]) for name, url in still.items()))
    _, chance = seeded()
    missing = (shop.folder / "never.png").as_uri()
    names = {old.manifest.space: "tiny@1", new.manifest.space: "other@1"}
    own = {"FRESHLINE_VIEW": "", "FRESHLINE_BUNDLE": str(new.folder)}
    with (
        shop.worker(FRESHLINE_VIEW=first) as worker,
        shop.worker("retry", FRESHLINE_VIEW=first) as retrying,
        Load(shop, list(greys), missing, chance, per_second=PER_SECOND) as load,
        shop.serving() as url,
    ):
        load.more(at(100, 2000))
        eventually(lambda: shop.caught_up() or load.published, what="the first view")
        shoppers = Shoppers(
            url, {name: Path(file.removeprefix("file://")).read_bytes() for name, file in still.items()}, names
        )
        eventually(lambda: all(shoppers.product(name) for name in still), what="the products that never change")
        with shoppers.searching():
            second = _start(shop, new)
            assert _start(shop, new) == second
            own["FRESHLINE_VIEW"] = second
            with shop.worker(**own) as killed:
                eventually(lambda: killed.metric("freshline_events_total") > STILL, what="the new view's worker")
            with shop.worker(**own), shop.worker("retry", **own):
                _run(shop, "status", "--wait", "--missing", "0.05")
                _switch(shop, shoppers, second)
                _check(shoppers, load)

                _run(shop, "rollback")
                shoppers.await_view(first)
                _check(shoppers, load)

                _switch(shop, shoppers, second)
                assert "still running (1 live, 1 retry)" in _run(shop, "finish", status=1)
                worker.stop()
                retrying.stop()
                load.stop()
                _finish(shop, first)
                shoppers.await_view(second)
                after = Installation(shop.env, shop.folder)
                eventually(after.caught_up, what="the new view")
        print(
            f"{sum(shoppers.answers.values())} searches, {load.published} events, {len(shoppers.wrong)} wrong answers"
        )
        assert shoppers.wrong == []
        verdict = judge(
            after, load.expected | _listed(after, still), load.letters, pictures=greys | files(list(still.values()))
        )
        after.close()
    assert verdict.wrong == {}


def _start(shop: Installation, bundle: Bundle) -> str:
    said = _run(shop, "start", str(bundle.folder), "--no-workers")
    return said.split()[1]


def _switch(shop: Installation, shoppers: Shoppers, view: str) -> None:
    _run(shop, "switch", "--sample", "30", "--missing", "0.05", "--margin", "1", "--max-p99-ms", "10000")
    shoppers.await_view(view)


def _finish(shop: Installation, dropped: str) -> None:
    _run(shop, "finish", status=None)
    eventually(lambda: "nothing to do" in _run(shop, "finish", status=None), what="the end of the old workers")
    roles = {view["name"]: view["role"] for view in json.loads(_run(shop, "status", "--json"))}
    assert list(roles.values()) == ["serving"]
    assert dropped not in roles


def _run(shop: Installation, *arguments: str, status: int | None = 0) -> str:
    done = shop.run("rollout", *arguments)
    assert status is None or done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr if status else done.stdout


def _check(shoppers: Shoppers, load: Load) -> None:
    """Nothing that changed long enough ago is missing, or back, in the view that serves now."""
    before = dict(load.expected)
    load.last(SETTLED_SECONDS)
    settled = {name: last for name, last in before.items() if load.expected[name] is last}
    assert len(settled) > STILL
    found = {name: shoppers.product(name) for name in settled}
    assert [name for name, last in settled.items() if not _holds(found[name], last)] == []


def _holds(found: Mapping[str, Any] | None, last: Event) -> bool:
    """Whether this event is what the view holds, or something newer: the catalogue goes on while it is asked."""
    assert last.version is not None
    return found is not None and (found["version"], found["deleted"] == last.deleted) >= (last.version, True)


def _listed(shop: Installation, still: Mapping[str, str]) -> dict[str, Event]:
    """The events of the products that never change, as far as the judge asks for them."""
    payloads = shop.payloads()
    return {name: listing(name, [url], version=payloads[name].version) for name, url in still.items()}
