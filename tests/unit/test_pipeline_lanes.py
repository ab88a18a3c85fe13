"""What the replay lane and the retry lane do differently."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from indexer.store import Store
from schemas.dead_letters import Reason
from schemas.headers import Source
from stream.pipeline import milliseconds
from tests.factories import NOW, VIEW, record, url
from tests.line import GONE, ILL, Line, seen


@pytest.fixture
async def replay(store: Store) -> AsyncIterator[Line]:
    async with AsyncExitStack() as exits:
        yield await Line(store, lane="replay").open(exits)


async def test_a_replayed_event_keeps_its_place_in_the_log(replay: Line) -> None:
    await replay.put(5, offset=1000, headers=Source(0, 7, 1).headers())

    assert replay.payload().offset == 7
    assert replay.outcomes() == {"indexed": 1}


@pytest.mark.parametrize("value", [None, b"", b"seven", b"-1", b" 7", b"1_0", b"\xb2", b"9" * 15])
async def test_a_replayed_event_without_a_sound_place_is_a_dead_letter(replay: Line, value: bytes | None) -> None:
    headers = Source(0, 7, 1).headers() | {"source-offset": value}
    assert await replay.put(5, offset=1000, headers=headers) == "dead_lettered"

    (letter,) = replay.letters.letters
    assert (letter.reason, letter.offset) == (Reason.INVALID_EVENT, 1000)
    assert "source-offset" in letter.message
    assert replay.held() is None


async def test_on_the_live_lane_an_event_is_where_it_is_whatever_its_header_says(line: Line) -> None:
    await line.put(5, offset=3, headers={"source-offset": b"99"})

    assert line.payload().offset == 3


async def test_a_forced_event_is_encoded_again(replay: Line) -> None:
    await replay.put(5, "ab", headers=Source(0, 7, 1).headers())

    assert await replay.put(5, "ab", headers=Source(0, 7, 1).headers() | {"force": b"1"}) == "indexed"
    assert replay.fetcher.requests == ["a", "b", "a", "b"]


async def test_an_event_that_is_meant_for_another_view_is_passed_over(replay: Line) -> None:
    assert await replay.put(5, headers=Source(0, 7, 1).headers() | {"view": b"another"}) == "other_view"

    assert replay.held() is None
    assert await replay.put(5, headers=Source(0, 7, 1).headers() | {"view": VIEW.encode()}) == "indexed"


async def test_a_null_value_that_is_replayed_deletes_at_the_time_that_it_was_published(store: Store) -> None:
    """Not at that of the replay: a product that was listed again in between must stay."""
    async with AsyncExitStack() as exits:
        replay = await Line(store, lane="replay", versions="timestamp").open(exits)
        published = milliseconds(NOW) - 1000
        again = record(None, timestamp_ms=published + 900, headers=Source(0, 7, published).headers())

        assert await replay.pipeline.process(again) == "deleted"
        assert replay.payload().version == published * 1000


async def test_what_a_replayed_event_fails_for_is_a_letter_at_its_place_in_the_log(replay: Line) -> None:
    replay.fetcher.trouble["a"] = GONE
    await replay.put(5, offset=1000, topic="catalog.replay", headers=Source(3, 7, 1).headers() | {"attempts": b"2"})

    (letter,) = replay.letters.letters
    assert (letter.topic, letter.partition, letter.offset, letter.timestamp_ms) == ("catalog.events", 3, 7, 1)
    assert (letter.attempts, letter.lane) == (3, "replay")


def parked(*, hours: float = 0, **more: bytes) -> dict[str, bytes | None]:
    """Headers of an event that met its first trouble so many hours ago."""
    first_seen = milliseconds(NOW - timedelta(hours=hours))
    extra = {"view": VIEW.encode(), "lane": b"live", "first-seen": b"%d" % first_seen, "attempts": b"1"}
    return Source(0, 1, 1).headers() | extra | more


@pytest.fixture
async def retry(store: Store) -> AsyncIterator[Line]:
    async with AsyncExitStack() as exits:
        yield await Line(store, lane="retry").open(exits)


async def test_an_event_whose_image_host_is_ill_is_indexed_with_the_rest_and_parked(line: Line) -> None:
    line.fetcher.trouble["b"] = ILL

    assert await line.put(1, "ab") == "parked"
    assert line.vectors() == seen("a")
    assert [(failed.url, failed.reason) for failed in line.payload().failed_images] == [(url("b"), "image_unavailable")]
    ((_, journey, first_seen),) = line.retries.parked
    assert (journey.source.offset, journey.attempts, first_seen) == (1, 0, milliseconds(NOW))
    assert line.letters.letters == []


async def test_a_parked_event_is_completed_and_counted_as_fresh_once(line: Line, retry: Line) -> None:
    line.fetcher.trouble["b"] = ILL
    await line.put(1, "ab")

    assert await retry.put(1, "ab", headers=parked()) == "indexed"
    assert retry.vectors() == seen("a", "b")
    assert (line.fresh(), retry.fresh()) == (1, 0)


async def test_a_parked_event_that_could_not_be_found_at_all_counts_as_live_when_it_can(
    line: Line, retry: Line
) -> None:
    line.fetcher.trouble["a"] = ILL
    await line.put(1, "a")
    await retry.put(1, "a", headers=parked())

    assert line.fresh() == 0
    assert retry.value("freshness_seconds_count", view=VIEW, lane="live", type="created") == 1


async def test_a_parked_replay_does_not_count_as_live(retry: Line) -> None:
    await retry.put(1, "a", headers=parked(lane=b"replay"))

    assert retry.value("freshness_seconds_count", view=VIEW, lane="replay", type="created") == 1


async def test_what_fails_again_is_parked_again_from_the_same_first_time(retry: Line) -> None:
    retry.fetcher.trouble["a"] = ILL
    headers = parked(hours=23, force=b"1")

    assert await retry.put(1, "a", headers=headers) == "parked"
    ((_, journey, first_seen),) = retry.retries.parked
    assert (journey.attempts, journey.force, journey.lane) == (1, True, "live")
    assert b"%d" % first_seen == headers["first-seen"]


async def test_a_parked_event_past_its_budget_is_tried_once_more_and_then_given_up(retry: Line) -> None:
    retry.fetcher.trouble["a"] = ILL

    assert await retry.put(1, "a", headers=parked(hours=24)) == "dead_lettered"
    assert retry.retries.parked == []
    (letter,) = retry.letters.letters
    assert (letter.reason, letter.attempts, letter.lane, letter.offset) == (Reason.IMAGE_UNAVAILABLE, 2, "live", 1)


async def test_an_image_that_is_gone_is_a_dead_letter_while_one_that_may_come_back_is_parked(line: Line) -> None:
    line.fetcher.trouble |= {"a": GONE, "b": ILL}

    assert await line.put(1, "abc") == "parked"
    assert [letter.reason for letter in line.letters.letters] == [Reason.IMAGE_MISSING]
    assert len(line.retries.parked) == 1
    assert line.vectors() == seen("c")
