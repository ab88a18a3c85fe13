"""One event on its way through the pipeline, and several of one product: what becomes of them."""

from __future__ import annotations

import asyncio

import pytest

from schemas.dead_letters import Reason
from tests.factories import NOW, VIEW, as_json, record, url
from tests.line import Line, seen, until


async def test_a_new_product_is_indexed_with_a_vector_for_each_image(line: Line) -> None:
    assert await line.put(1, "ab") == "indexed"

    assert line.vectors() == seen("a", "b")
    assert line.payload().image_urls == [url("a"), url("b")]
    assert line.outcomes() == {"indexed": 1}
    assert line.letters.letters == []


async def test_what_is_indexed_is_as_fresh_as_its_event_is_old(line: Line) -> None:
    await line.put(1)

    assert line.fresh() == 1
    assert line.value("freshness_seconds_sum", view=VIEW, lane="live", type="created") == 1.5
    assert line.payload().indexed_at == NOW


async def test_a_change_of_price_neither_fetches_nor_encodes_and_keeps_the_vectors(line: Line) -> None:
    await line.put(1, "ab")
    before = list(line.fetcher.requests), list(line.encoder.batches)
    product = {"title": "A red shoe", "price": 5, "images": [{"url": url("a")}, {"url": url("b")}]}

    assert await line.put(2, "ab", type="updated", product=product) == "payload_only"

    assert (line.fetcher.requests, line.encoder.batches) == before
    assert line.payload().price == 5
    assert line.vectors() == seen("a", "b")
    assert line.fresh("updated") == 1


async def test_only_a_new_image_is_fetched(line: Line) -> None:
    await line.put(1, "ab")

    assert await line.put(2, "bc") == "indexed"
    assert line.fetcher.requests == ["a", "b", "c"]
    assert line.vectors() == seen("b", "c")


async def test_a_delete_leaves_a_tombstone(line: Line) -> None:
    await line.put(1, "a")

    assert await line.put(2, "") == "deleted"
    assert line.payload().deleted
    assert line.vectors() == []
    assert line.fresh("deleted") == 1


async def test_an_event_that_is_delivered_again_is_stale_and_costs_nothing(line: Line) -> None:
    await line.put(1)

    assert await line.put(1) == "stale"
    assert line.fetcher.requests == ["a"]
    assert line.outcomes() == {"indexed": 1, "stale": 1}
    assert line.fresh() == 1


async def test_an_older_event_from_before_is_stale(line: Line) -> None:
    await line.put(5, offset=10)

    assert await line.put(4, "b", offset=9) == "stale"
    assert line.vectors() == seen("a")


async def test_an_older_event_that_came_later_is_a_dead_letter(line: Line) -> None:
    await line.put(5, offset=10)

    assert await line.put(4, "b", offset=11) == "dead_lettered"
    (letter,) = line.letters.letters
    assert (letter.reason, letter.stage, letter.product_id) == (Reason.OUT_OF_ORDER, "decide", "p1")
    assert line.vectors() == seen("a")


async def test_a_late_create_does_not_bring_a_deleted_product_back(line: Line) -> None:
    await line.put(2, "", offset=2)

    assert await line.put(1, "a", offset=1) == "stale"
    assert line.payload().deleted


async def test_of_events_that_wait_for_their_product_only_the_newest_is_done(line: Line) -> None:
    line.fetcher.gates["a"] = asyncio.Event()
    first = asyncio.create_task(line.put(1, "a"))
    await until(lambda: line.fetcher.requests)
    rest = [asyncio.create_task(line.put(version, images)) for version, images in ((2, "b"), (3, "c"), (4, "d"))]
    await asyncio.sleep(0)
    line.fetcher.gates["a"].set()

    assert list(await asyncio.gather(first, *rest)) == ["indexed", "superseded", "superseded", "indexed"]
    assert line.fetcher.requests == ["a", "d"]
    assert line.vectors() == seen("d")


async def test_a_superseded_event_is_settled_only_after_the_one_that_superseded_it(line: Line) -> None:
    line.fetcher.gates |= {"a": asyncio.Event(), "c": asyncio.Event()}
    first = asyncio.create_task(line.put(1, "a"))
    await until(lambda: line.fetcher.requests)
    second, third = (asyncio.create_task(line.put(version, images)) for version, images in ((2, "b"), (3, "c")))
    await asyncio.sleep(0)
    line.fetcher.gates["a"].set()
    await until(lambda: "c" in line.fetcher.requests)
    assert not second.done()

    line.fetcher.gates["c"].set()
    assert list(await asyncio.gather(first, second, third)) == ["indexed", "superseded", "indexed"]


async def test_among_waiting_events_one_that_is_out_of_order_is_a_dead_letter(line: Line) -> None:
    line.fetcher.gates["a"] = asyncio.Event()
    first = asyncio.create_task(line.put(1, "a", offset=0))
    await until(lambda: line.fetcher.requests)
    newer, late = asyncio.create_task(line.put(9, "c", offset=1)), asyncio.create_task(line.put(5, "b", offset=2))
    await asyncio.sleep(0)
    line.fetcher.gates["a"].set()

    assert list(await asyncio.gather(first, newer, late)) == ["indexed", "indexed", "dead_lettered"]
    assert [letter.offset for letter in line.letters.letters] == [2]


async def test_a_slow_image_holds_up_no_other_product(line: Line) -> None:
    line.fetcher.gates["a"] = asyncio.Event()
    slow = asyncio.create_task(line.put(1, "a"))
    async with asyncio.timeout(5):
        assert await line.put(1, "b", product_id="p2") == "indexed"
    assert not slow.done()

    line.fetcher.gates["a"].set()
    assert await slow == "indexed"


async def test_an_invalid_record_is_a_dead_letter_with_all_that_it_was(line: Line) -> None:
    bad = record(b"{", key=b"p1", offset=42, partition=3, headers={"trace": b"\xff", "empty": None})

    assert await line.pipeline.process(bad) == "dead_lettered"
    (letter,) = line.letters.letters
    assert (letter.reason, letter.stage, letter.product_id) == (Reason.INVALID_JSON, "consume", None)
    assert (letter.topic, letter.partition, letter.offset) == ("catalog.events", 3, 42)
    assert (letter.key, letter.value, letter.timestamp_ms) == (b"p1", b"{", bad.timestamp_ms)
    assert letter.headers == [("trace", b"\xff"), ("empty", None)]
    assert (letter.view, letter.worker_version, letter.attempts, letter.time) == (VIEW, "1.2.3", 1, NOW)
    assert line.outcomes() == {"dead_lettered": 1}
    assert line.value("dead_letters_total", reason="invalid_json") == 1


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (as_json(version=1), None, "invalid_key"),
        (as_json(version=1), b"p2", "key_mismatch"),
        (as_json(version=1, type="changed"), b"p1", "invalid_event"),
        (as_json(), b"p1", "invalid_version"),
        (None, b"p1", "null_value"),
    ],
)
async def test_each_kind_of_invalid_record_has_its_reason(
    line: Line, value: bytes | None, key: bytes | None, reason: str
) -> None:
    assert await line.pipeline.process(record(value, key=key)) == "dead_lettered"
    assert [letter.reason for letter in line.letters.letters] == [reason]
