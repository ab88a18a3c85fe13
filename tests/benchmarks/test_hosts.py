"""`freshline bench hosts`, small: that it measures what it says. What it measures is never asserted."""

from __future__ import annotations

import json

import pytest

from tests.harness import freshline

pytestmark = pytest.mark.usefixtures("stack_tools")


def test_it_measures_the_products_of_the_host_that_hangs_and_those_of_the_others() -> None:
    quick = {"FRESHLINE_IMAGE_TIMEOUT_SECONDS": "2"}
    done = freshline("bench", "hosts", "--seconds", "3", "--burst", "400", "--workers", "1", "--json", env=quick)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)

    assert figures["capacity_per_second"] == pytest.approx(2 * figures["per_second"])
    published = round(figures["per_second"] * figures["seconds"])
    assert figures["others"]["products"] + figures["hanging"]["products"] == published
    assert figures["parked"] >= figures["hanging"]["products"] > 0
    assert figures["others"]["p99"] > 0
    assert figures["completed_seconds"] is not None
