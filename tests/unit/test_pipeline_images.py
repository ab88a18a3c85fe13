"""Images that can not be had, and how their products are indexed all the same."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from indexer.store import Store
from schemas.dead_letters import Reason
from schemas.payloads import revision_of
from stream.images.fetcher import FetchError
from tests.factories import url
from tests.line import GONE, ILL, Line, seen, until


async def test_a_product_is_indexed_with_the_images_that_can_be_had(line: Line) -> None:
    line.fetcher.trouble["b"] = GONE

    assert await line.put(1, "abc") == "indexed"
    assert line.vectors() == seen("a", "c")
    assert [(failed.url, failed.reason) for failed in line.payload().failed_images] == [(url("b"), "image_missing")]
    (letter,) = line.letters.letters
    assert (letter.reason, letter.stage, letter.message) == (Reason.IMAGE_MISSING, "fetch", str(GONE))
    assert line.value("dead_letters_total", reason="image_missing") == 1


async def test_several_failed_images_are_one_dead_letter_that_names_them_all(line: Line) -> None:
    line.fetcher.trouble |= {"b": GONE, "c": FetchError(Reason.IMAGE_TOO_LARGE, "c is over 5 bytes")}
    await line.put(1, "abc")

    (letter,) = line.letters.letters
    assert "404" in letter.message
    assert "c is over 5 bytes" in letter.message


async def test_bytes_that_are_no_picture_are_a_dead_letter_of_the_decoder(line: Line) -> None:
    line.fetcher.bytes |= {"a": b"GIF89a", "b": b"\x89PNG\r\n\x1a\n but no more"}
    await line.put(1, "abc")

    (letter,) = line.letters.letters
    assert (letter.reason, letter.stage) == (Reason.IMAGE_UNSUPPORTED, "decode")
    assert [failed.reason for failed in line.payload().failed_images] == ["image_unsupported", "image_corrupt"]
    assert line.vectors() == seen("c")


async def test_an_update_whose_every_image_fails_keeps_its_vectors_and_writes_its_payload(line: Line) -> None:
    await line.put(1, "ab")
    line.fetcher.trouble["c"] = ILL
    await line.put(2, "c")

    assert line.vectors() == seen("a", "b")
    assert (line.payload().version, line.payload().image_urls) == (2, [url("c")])
    assert line.outcomes() == {"indexed": 1, "parked": 1}


async def test_a_product_none_of_whose_images_can_be_had_counts_as_dead_lettered_and_not_as_fresh(line: Line) -> None:
    line.fetcher.trouble["a"] = GONE

    assert await line.put(1, "a") == "dead_lettered"
    assert line.outcomes() == {"dead_lettered": 1}
    assert line.fresh() == 0
    assert line.payload().version == 1


async def test_an_event_is_completed_at_its_own_version_when_it_comes_again(line: Line) -> None:
    line.fetcher.trouble["b"] = ILL
    await line.put(1, "ab")
    line.fetcher.trouble.clear()

    assert await line.put(1, "ab") == "indexed"
    assert line.fetcher.requests == ["a", "b", "b"]
    assert line.vectors() == seen("a", "b")
    assert line.payload().revision == revision_of(1, 2)


async def test_nothing_is_settled_before_its_dead_letter_is_durable(line: Line) -> None:
    line.letters.gate = asyncio.Event()
    line.fetcher.trouble["a"] = GONE
    task = asyncio.create_task(line.put(1, "a"))
    await until(lambda: line.held() is not None)
    await asyncio.sleep(0.01)
    assert not task.done()
    assert line.outcomes() == {}

    line.letters.gate.set()
    assert await task == "dead_lettered"


async def test_a_failure_is_reported_even_if_another_worker_wrote_more_of_the_same_event(
    store: Store, line: Line
) -> None:
    """The other one has "a" and still lacks "b"; it may die before it says so."""
    async with AsyncExitStack() as exits:
        other = await Line(store).open(exits)
        line.fetcher.trouble |= {"a": ILL, "b": ILL}
        other.fetcher.trouble["b"] = ILL
        line.fetcher.gates["a"] = asyncio.Event()
        task = asyncio.create_task(line.put(1, "ab"))
        await until(lambda: len(line.fetcher.requests) == 2)
        await other.put(1, "ab")
        line.fetcher.gates["a"].set()
        await task

    assert line.vectors() == seen("a")
    assert len(line.retries.parked) == 1


async def test_a_failure_of_an_event_that_was_overtaken_by_a_newer_one_is_nobodys_business(
    store: Store, line: Line
) -> None:
    async with AsyncExitStack() as exits:
        other = await Line(store).open(exits)
        line.fetcher.trouble["a"] = ILL
        line.fetcher.gates["a"] = asyncio.Event()
        task = asyncio.create_task(line.put(1, "a"))
        await until(lambda: line.fetcher.requests)
        await other.put(2, "b")
        line.fetcher.gates["a"].set()

        assert await task == "stale"

    assert line.letters.letters == []
    assert line.retries.parked == []
    assert line.vectors() == seen("b")
