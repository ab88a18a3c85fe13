"""The whole topic replayed with `force`, twice: everything is encoded again, and comes to the same."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

from schemas.headers import Source
from stream.resend import Resender
from tests.chaos.groups import lag, records
from tests.chaos.judge import files, least_cosine, payload_digest, read_view
from tests.chaos.load import Load
from tests.harness import Installation, draw, eventually

EVENTS = 400


def test_the_topic_replayed_twice_by_force_comes_to_the_same_view(shop: Installation, tmp_path: Path) -> None:
    pictures = files([draw(tmp_path / f"{number}.jpg", number) for number in range(20)])
    missing = (tmp_path / "never.jpg").as_uri()
    with shop.worker() as live, Load(shop, list(pictures), missing, random.Random(7), per_second=200) as load:
        load.more(EVENTS)
        load.stop()
        eventually(shop.caught_up)
        assert live.stop() == 0
    original = read_view(shop)
    shown = [name for name, held in original.items() if held.payload.image_urls]

    views = [original]
    for _ in range(2):
        _replay(shop)
        with shop.worker("replay") as replay:
            group = shop.settings.group(shop.view, "replay")
            eventually(lambda group=group: lag(shop, shop.settings.topics.replay, group) == 0)  # type: ignore[misc]
            assert replay.metric("freshline_stage_seconds_count", stage="encode") > 0
            assert replay.stop() == 0
        views.append(read_view(shop))

    assert {payload_digest(view) for view in views} == {payload_digest(original)}
    for before, after in itertools.pairwise(views):
        print(f"{len(shown)} products encoded again; least cosine {least_cosine(before, after):.6f}")
        assert least_cosine(before, after) >= 0.9999
        assert all(after[name].payload.indexed_at > before[name].payload.indexed_at for name in shown)


def _replay(shop: Installation) -> None:
    with Resender(shop.settings.kafka(), shop.settings.topics) as resender:
        for each in records(shop, shop.settings.topics.events):
            source = Source(each.partition() or 0, each.offset() or 0, each.timestamp()[1])
            resender.send(each.key(), each.value(), source, force=True)
