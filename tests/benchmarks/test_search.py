"""`freshline bench search`, small: that it measures what it says. What it measures is never asserted."""

from __future__ import annotations

import json
import time

import pytest

from freshline.bench.openloop import drive, summed_up
from tests.harness import freshline


@pytest.mark.usefixtures("stack_tools")
def test_it_finds_a_rate_and_doubles_it() -> None:
    small = ["--products", "300", "--seconds", "1", "--first", "5", "--limit-ms", "2000", "--burst", "200", "--json"]
    done = freshline("bench", "search", *small, env={"FRESHLINE_SEARCHES_AT_ONCE": "1"})
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert [kind["name"] for kind in figures["kinds"]] == ["like a product", "by a picture"]
    for kind in figures["kinds"]:
        steady, double = kind["steady"], kind["double"]
        assert double["per_second"] == 2 * steady["per_second"] >= 10
        assert 0 < steady["p50"] <= steady["p99"]
        assert double["answered"] + double["shed"] + double["failed"] == round(double["per_second"])
        assert kind["stages"]["query"] > 0
        assert min(kind["memory_bytes"]) > 0
    assert figures["filtered"]["answered"] > 0
    assert {each["question"] for each in figures["asked"]} > {"all", "one brand of 8"}
    assert min(each["recall"] for each in figures["asked"]) > 0.9  # so few products are all looked at
    beside = figures["beside"]
    assert beside["search"]["answered"] > 0
    for freshness in (beside["freshness"], beside["freshness_beside"]):
        assert 0 < freshness["p50"] <= freshness["p99"]


async def test_a_slow_answer_counts_from_when_it_was_due() -> None:
    """The fourth request stops everything for a while: those that were due meanwhile waited, and it is seen."""

    async def send(number: int) -> int:
        if number == 3:
            time.sleep(0.05)  # noqa: ASYNC251 (as whatever holds this process up)
        return {0: 503, 1: 0}.get(number, 200)

    answers = await drive(send, 1000, 0.01)
    window = summed_up(answers, 1000)
    assert (window.answered, window.shed, window.failed) == (8, 1, 1)
    assert all(each.seconds > 0.03 for each in answers[4:])
    assert window.slowest_refusal == answers[0].seconds
    assert not window.within(10)
