"""`freshline bench import`, small: that it measures what it says. What it measures is never asserted."""

from __future__ import annotations

import json

import pytest

from tests.harness import freshline

pytestmark = pytest.mark.usefixtures("stack_tools")

SMALL = ["bench", "import", "--rows", "120", "--per-second", "20", "--seconds", "3", "--replay", "--rebuild", "--json"]


def test_it_measures_live_products_and_finds_all_rows() -> None:
    done = freshline(*SMALL, env={})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["rows"], report["replay"], report["missing_after_rebuild"]) == (120, True, 0)
    assert report["live"]["products"] >= 60
    assert 0 < report["live"]["p50"] <= report["live"]["p99"] <= report["live"]["slowest"]
    assert report["complete_seconds"] > 0
