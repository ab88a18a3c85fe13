"""Which records leave the live lane, how they arrive, and what a worker believes of who serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from indexer.store import Store
from schemas.events import MAX_EVENT_BYTES
from schemas.headers import BULK
from stream import serving as serving_module
from stream.diversion import KafkaDiversion
from stream.outbox import Outbox
from stream.records import Record, read_journey
from stream.serving import Serving
from tests.factories import record

IMPORTED = {BULK: b"1"}


class Sent:
    """An outbox that keeps what it gets."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def send(self, topic: str, *, key: bytes, value: bytes | None, headers: Mapping[str, bytes | None]) -> None:
        self.records.append(Record(topic, 0, len(self.records), key, value, 0, headers))


class Answers:
    """A store that answers one after the other, and then for ever the last one."""

    def __init__(self, *answers: str | Exception | None) -> None:
        self.left = list(answers)

    async def run(self, _: Callable[..., Any]) -> str | None:
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def diversion(serving: str | None) -> tuple[KafkaDiversion, Sent]:
    sent, known = Sent(), Serving(cast(Store, Answers(serving)), "products")
    await known.ask()
    return KafkaDiversion(cast(Outbox, sent), "catalog.replay", "A", known), sent


@pytest.mark.parametrize(
    ("serving", "given", "taken"),
    [
        ("A", record(b"{}", headers=IMPORTED), True),
        ("A", record(None, headers=IMPORTED), True),
        ("A", record(b"{}"), False),
        ("B", record(b"{}", headers=IMPORTED), False),
        (None, record(b"{}", headers=IMPORTED), False),
        ("A", record(b" " * MAX_EVENT_BYTES, headers=IMPORTED), False),
        ("A", record(b"", key=b" " * MAX_EVENT_BYTES, headers=IMPORTED), True),
        ("A", record(b" ", key=b" " * MAX_EVENT_BYTES, headers=IMPORTED), False),
    ],
)
async def test_an_import_s_event_is_diverted_by_the_view_that_serves_if_the_topic_takes_it(
    serving: str | None, given: Record, taken: bool
) -> None:
    assert (await diversion(serving))[0].takes(given) is taken


async def test_a_diverted_event_keeps_its_place_is_for_its_view_alone_and_counts_as_replayed() -> None:
    diverting, sent = await diversion("A")
    given = record(b"{}", offset=7, partition=3, headers=IMPORTED)
    await diverting.divert(given, read_journey(given, "live"))

    (arrived,) = sent.records
    assert (arrived.topic, arrived.key, arrived.value) == ("catalog.replay", given.key, given.value)
    journey = read_journey(arrived, "replay")
    assert journey.source == read_journey(given, "live").source
    assert (journey.view, journey.lane, journey.force, journey.first_seen_ms) == ("A", "replay", False, None)


def test_an_import_s_event_counts_as_replayed_where_it_is_worked_off_in_place() -> None:
    assert read_journey(record(b"{}", headers=IMPORTED), "live").lane == "replay"
    assert read_journey(record(b"{}"), "live").lane == "live"


async def test_a_switched_alias_is_learned_and_the_last_answer_stays_while_qdrant_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving_module, "INTERVAL_SECONDS", 0)
    answers = Answers("A", ConnectionError(), ConnectionError(), "B", ConnectionError())
    known = Serving(cast(Store, answers), "products")
    await known.ask()
    running = asyncio.create_task(known.run())
    seen = []
    async with asyncio.timeout(5):
        while len(answers.left) > 1:
            seen.append(known.view)
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()

    assert set(seen) <= {"A", "B"}
    assert "A" in seen
    assert known.view == "B"
