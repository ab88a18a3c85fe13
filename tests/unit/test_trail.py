from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from indexer.store import Store
from schemas.dead_letters import Reason
from stream.images.fetcher import FetchError, Unavailable
from stream.trail import Followed, add_trail
from tests.factories import VIEW, url
from tests.line import Line

PLACE = {"view": VIEW, "lane": "live", "partition": 0}


@pytest.fixture
async def line(store: Store) -> AsyncIterator[Line]:
    async with AsyncExitStack() as exits:
        yield await Line(store, followed=Followed(["p1", "summer-*"])).open(exits)


@pytest.fixture
def said() -> Iterator[list[Any]]:
    with capture_logs(processors=[add_trail]) as lines:
        yield lines


def of(said: Sequence[Any], product_id: str) -> list[Any]:
    return [line for line in said if line.get("product_id") == product_id and line["log_level"] != "debug"]


def test_a_product_is_followed_by_its_id_or_the_beginning_of_it() -> None:
    followed = Followed(["p1", "summer-*"])

    assert [name in followed for name in ("p1", "p11", "summer-", "summer-7", "a-summer-7")] == [
        True,
        False,
        True,
        True,
        False,
    ]
    assert "anything" not in Followed()
    assert "anything" in Followed(["*"])


async def test_every_step_of_a_followed_products_event_is_told(line: Line, said: list[Any]) -> None:
    await line.put(7, "a", offset=42)

    lines = of(said, "p1")
    assert [each["event"] for each in lines] == ["decide", "planned", "fetch", "decode", "encode", "write", "settled"]
    for each in lines:
        about = PLACE | {"offset": 42, "event_id": "event-1", "followed": True, "log_level": "info"}
        assert about.items() <= each.items()
    assert lines[2]["url"] == url("a")
    assert lines[-1]["outcome"] == "indexed"
    assert list(lines[-1]["seconds"]) == ["decide", "fetch", "decode", "encode", "write", "total"]
    assert lines[-1]["seconds"]["total"] >= lines[-1]["seconds"]["write"] >= 0


async def test_of_any_other_product_only_what_matters_is_told_at_info(line: Line, said: list[Any]) -> None:
    await line.put(1, product_id="other")
    assert of(said, "other") == []

    line.fetcher.trouble["b"] = Unavailable("http://images.test/b: HTTP 503")
    line.fetcher.trouble["c"] = FetchError(Reason.IMAGE_MISSING, "http://images.test/c: HTTP 404")
    await line.put(1, "b", product_id="parked", offset=2)
    await line.put(1, "c", product_id="missing", offset=3)

    (parked,), (missing,) = of(said, "parked"), of(said, "missing")
    assert (parked["event"], parked["log_level"], parked["attempts"], parked["offset"]) == ("parked", "info", 1, 2)
    assert (missing["event"], missing["log_level"], missing["reason"]) == ("dead letter", "warning", "image_missing")
    assert "followed" not in parked


async def test_events_that_share_a_turn_or_a_batch_keep_their_own_places(line: Line, said: list[Any]) -> None:
    events = [("p1", version, version) for version in (1, 2, 3)] + [(f"summer-{n}", 1, 10 + n) for n in range(3)]

    await asyncio.gather(*(line.put(version, product_id=name, offset=offset) for name, version, offset in events))

    ends = {each["offset"]: each for each in said if each["event"] == "settled"}
    assert {offset: each["product_id"] for offset, each in ends.items()} == {offset: name for name, _, offset in events}
    written = [each["offset"] for each in said if each["event"] == "write"]
    assert sorted(written) == [offset for offset, each in sorted(ends.items()) if each["outcome"] == "indexed"]


async def test_in_the_debug_log_each_event_is_a_line(
    line: Line, said: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await line.put(1, product_id="other")

    settled = [each for each in said if each["event"] == "settled"]
    assert [each["log_level"] for each in settled] == ["debug"]
    assert {"decide", "fetch", "write", "total"} <= set(settled[0]["seconds"])


async def test_what_others_log_meanwhile_is_about_the_event_too(line: Line, said: list[Any]) -> None:
    log = structlog.get_logger("somewhere")

    async def complain(*_: Any) -> Any:
        log.warning("odd")
        raise Unavailable("no")

    line.fetcher.fetch = complain  # type: ignore[assignment, method-assign]
    await line.put(1, product_id="other", offset=9)

    odd = next(each for each in said if each["event"] == "odd")
    assert (odd["product_id"], odd["offset"]) == ("other", 9)
