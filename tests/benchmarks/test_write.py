"""`freshline bench write`, small: that it measures what it says. What it measures is never asserted."""

from __future__ import annotations

import json

import pytest

from freshline.bench.write_report import LABELS
from tests.harness import freshline

pytestmark = pytest.mark.usefixtures("stack_tools")


def test_it_measures_every_way_of_writing_for_both_schemes_and_dimensions() -> None:
    done = freshline("bench", "write", "--products", "300", "--rounds", "2", "--json", env={})
    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout)["cases"]

    assert [(case["versions"], case["dimension"]) for case in cases] == [
        *[("timestamp", 128), ("counter", 128), ("timestamp", 512), ("counter", 512)]
    ]
    for case in cases:
        assert case["ratio"].keys() == LABELS.keys()
        assert all(len(rates) == 2 and min(rates) > 0 for rates in case["rounds"].values())
