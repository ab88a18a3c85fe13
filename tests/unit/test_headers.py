from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.headers import ATTEMPTS, SOURCE_OFFSET, InvalidHeader, Source, number
from stream.records import Record, read_journey
from stream.retry import seconds_until_due

numbers = st.integers(0, 10**14 - 1)


@given(numbers, numbers, numbers)
def test_a_source_is_read_as_it_was_written(partition: int, offset: int, timestamp_ms: int) -> None:
    source = Source(partition, offset, timestamp_ms)

    assert Source.read(source.headers()) == source


@given(st.binary().filter(lambda value: not value.isdigit()))
def test_what_is_no_number_is_an_error_that_names_the_header(value: bytes) -> None:
    with pytest.raises(InvalidHeader, match=SOURCE_OFFSET):
        number({SOURCE_OFFSET: value}, SOURCE_OFFSET)


def test_a_missing_number_may_have_a_default() -> None:
    assert number({}, ATTEMPTS, 0) == 0
    with pytest.raises(InvalidHeader, match=ATTEMPTS):
        number({ATTEMPTS: None}, ATTEMPTS)


def test_on_the_live_lane_a_record_is_in_its_own_place() -> None:
    record = Record("catalog.events", 3, 7, b"p1", b"{}", 99, Source(1, 1, 1).headers() | {"force": b"1"})

    journey = read_journey(record, "live")

    assert (journey.source, journey.lane, journey.force) == (Source(3, 7, 99), "live", False)


@pytest.mark.parametrize(
    ("parked", "now", "wait"),
    [
        (0, 0, 60),
        (0, 45_000, 15),
        (0, 60_000, 0),
        (0, 999_000, 0),
        (500_000, 0, 60),  # the broker's clock is ahead
    ],
)
def test_a_parked_event_is_due_after_the_delay_and_never_waits_longer(parked: int, now: int, wait: float) -> None:
    assert seconds_until_due(parked, 60, now) == wait
