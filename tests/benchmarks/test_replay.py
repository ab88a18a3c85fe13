"""`freshline bench replay`, small: that it measures what it says. What it measures is never asserted."""

from __future__ import annotations

import json

import pytest

from tests.harness import freshline

pytestmark = pytest.mark.usefixtures("stack_tools")


def test_it_replays_every_event_and_measures_the_rates_and_the_memory() -> None:
    done = freshline("bench", "replay", "--events", "2000", "--json", env={})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["counts"] == {
        "indexed": 2000,
        **dict.fromkeys(("already_there", "overtaken", "parked", "dead_letters", "failed"), 0),
    }
    assert report["ratio"] == report["per_second"] / report["upserts_per_second"] > 0
    assert all(min(report[name]) > 0 for name in ("command_bytes", "workers_bytes"))
