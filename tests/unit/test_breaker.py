from __future__ import annotations

import pytest

from stream.images.breaker import Breaker, BreakerSettings


class Clock:
    """Stands still until it is put forward."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(BreakerSettings(), clock)


def see(breaker: Breaker, outcomes: str) -> Breaker:
    """`+` and `-` for visits that ended well and not."""
    for outcome in outcomes:
        breaker.end(outcome == "+", probe=breaker.begin())
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "is_open"),
    [
        ("----", False),
        ("-----", True),
        ("+" * 20 + "----", False),
        ("+" * 20 + "-----", True),  # the first volley of timeouts
        ("-+-+-+-+-", True),  # half of them
        ("-++" * 6, False),  # one picture in three hangs, the host does not
        ("+-" * 4, False),
    ],
)
def test_it_opens_when_enough_fail_in_a_row_or_half_of_them(breaker: Breaker, outcomes: str, is_open: bool) -> None:
    see(breaker, outcomes)

    assert breaker.is_open is is_open
    assert breaker.refuses is is_open


def test_what_is_long_ago_does_not_count(breaker: Breaker, clock: Clock) -> None:
    see(breaker, "-+-+-+-+")
    clock.now += 61

    assert not see(breaker, "-").is_open


def test_after_a_rest_one_visit_goes_as_a_probe_and_closes_it(breaker: Breaker, clock: Clock) -> None:
    see(breaker, "-----")
    clock.now += 4.0 * 0.8 - 0.1
    assert breaker.refuses
    clock.now += 5.0
    assert not breaker.refuses
    probe = breaker.begin()
    assert probe
    assert breaker.refuses, "a second one must wait for the probe"

    breaker.end(True, probe=probe)
    assert not breaker.is_open
    assert not breaker.is_ill
    assert not see(breaker, "----").is_open, "it begins anew"


def test_each_probe_that_fails_makes_the_rest_longer_up_to_a_limit(breaker: Breaker, clock: Clock) -> None:
    see(breaker, "-----")
    rests = []
    for _ in range(6):
        rests.append(breaker.rest)
        clock.now += breaker.rest
        see(breaker, "-")

    for rest, wanted in zip(rests, (5, 10, 20, 40, 40, 40), strict=True):
        assert wanted * 0.8 <= rest <= wanted * 1.2


def test_a_probe_that_is_broken_off_makes_room_for_the_next(breaker: Breaker, clock: Clock) -> None:
    see(breaker, "-----")
    clock.now += breaker.rest
    breaker.end(None, probe=breaker.begin())

    assert breaker.is_open
    assert not breaker.refuses


def test_visits_that_began_before_it_opened_neither_close_it_nor_make_its_rest_longer(breaker: Breaker) -> None:
    see(breaker, "-----")
    rest = breaker.rest
    breaker.end(True, probe=False)
    breaker.end(False, probe=False)

    assert breaker.is_open
    assert breaker.rest == rest


def test_a_host_is_left_alone_as_long_as_it_asks_within_a_limit(breaker: Breaker, clock: Clock) -> None:
    breaker.end(False, probe=False, rest_seconds=120)
    clock.now += 119
    assert breaker.refuses
    clock.now += 1
    assert not breaker.refuses

    breaker.end(False, probe=breaker.begin(), rest_seconds=1e9)
    assert breaker.rest == 300


def test_a_few_failures_in_a_row_make_it_ill_before_it_opens(breaker: Breaker) -> None:
    assert not see(breaker, "+--").is_ill
    assert see(breaker, "-").is_ill
    assert not breaker.is_open
    assert not see(breaker, "+").is_ill
