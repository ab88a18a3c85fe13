"""`freshline bench freshness`, small: that it measures what it says. What it measures is never asserted."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.harness import FRESHLINE

pytestmark = pytest.mark.usefixtures("stack_tools")


def test_it_measures_steady_load_its_parts_and_what_an_outage_leaves() -> None:
    small = ["--seconds", "5", "--outage", "3", "--rate", "30", "--burst", "300", "--workers", "2", "--products", "500"]
    done = subprocess.run(
        [FRESHLINE, "bench", "freshness", *small, "--json"],
        env=os.environ | {"FRESHLINE_SESSION_TIMEOUT_SECONDS": "6"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    steady, parts, outage = figures["steady"], figures["parts"], figures["outage"]

    assert figures["capacity_per_second"] > 0
    assert steady["products"] == pytest.approx(30 * 5, rel=0.1)
    assert 0 < steady["p50"] <= steady["p99"] <= steady["slowest"]
    assert parts.keys() == {"before_kafka", "waiting", "turn", "decide", "fetch", "decode", "encode", "write"}
    assert {part["events"] for part in parts.values()} == {steady["products"]}
    assert sum(part["p50"] for part in parts.values()) < steady["slowest"]
    assert outage["backlog"] >= 30 * 3 * 0.9
    assert outage["slowest"] > 3
    assert outage["ratio"] == pytest.approx(outage["worked_off_per_second"] / outage["arriving_per_second"])
    assert 0 < outage["first_seconds"] <= outage["caught_up_seconds"]
