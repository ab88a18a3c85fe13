"""The replay command killed with SIGKILL again and again, and resumed: it comes to the same as one that is not."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from stream.replaying.cursor import running_replays
from tests.chaos.judge import Held, files, least_cosine, payload_digest, read_view
from tests.chaos.load import Load
from tests.chaos.scale import at
from tests.harness import FRESHLINE, Installation, draw, eventually
from tests.integration.test_replay import wipe

KILLS = 5
EVENTS = at(400, 4000)


@pytest.mark.timeout(at(600, 1800))
def test_a_replay_that_is_killed_and_resumed_comes_to_the_same_as_one_that_is_not(
    shop: Installation, tmp_path: Path
) -> None:
    chance = random.Random(11)
    pictures = files([draw(tmp_path / f"{number}.jpg", number) for number in range(20)])
    missing = (tmp_path / "never.jpg").as_uri()
    with shop.worker() as live, Load(shop, list(pictures), missing, chance, per_second=200) as load:
        load.more(EVENTS)
        load.stop()
        eventually(shop.caught_up, within=120)
        assert live.stop() == 0
    with shop.worker("replay") as worker:
        eventually(worker.ready)
        uninterrupted = _view_of(shop, kills=0, chance=chance)
        resumed = _view_of(shop, kills=KILLS, chance=chance)
        assert worker.stop() == 0
    assert payload_digest(resumed) == payload_digest(uninterrupted)
    print(f"{KILLS} SIGKILLs, {len(resumed)} products: least cosine {least_cosine(uninterrupted, resumed):.6f}")
    assert least_cosine(uninterrupted, resumed) >= 0.9999


def _view_of(shop: Installation, *, kills: int, chance: random.Random) -> dict[str, Held]:
    """What an empty view comes to by a replay of the whole topic, killed so many times at random."""
    wipe(shop)
    topic = shop.settings.topics.replay
    for _ in range(kills):
        until = _sent(shop, topic) + chance.randint(1, EVENTS // (3 * KILLS))
        command = [FRESHLINE, "replay", "--all", "--name", "killed", "--outstanding", "50", "--rate", "50"]
        process = subprocess.Popen(command, env=os.environ | shop.env, stderr=subprocess.DEVNULL)
        eventually(lambda until=until: _sent(shop, topic) >= until, within=120, what="more to be sent")  # type: ignore[misc]
        assert process.poll() is None, "it was done before it was killed"
        process.kill()
        process.wait()
    if kills:
        (stopped,) = running_replays(shop.settings.kafka(), shop.settings.topics)
        print(f"killed {kills} times; {stopped.counts.total} of {stopped.planned} events were accounted for")
    done = shop.run("replay", "--all", "--name", "killed", "--json")
    report = json.loads(done.stdout)
    assert report["counts"]["failed"] == report["counts"]["parked"] == 0, done.stderr
    assert sum(report["counts"].values()) >= EVENTS
    assert done.returncode == (1 if report["counts"]["dead_letters"] else 0)
    return read_view(shop)


def _sent(shop: Installation, topic: str) -> int:
    return sum(high for _, high in shop.watermarks(topic).values())
