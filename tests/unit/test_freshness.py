"""Each accepted live event is counted once, as fresh or as missed, or is excused; and its parts add up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from encoders.session import ImageEncoder
from indexer.collections import ensure_view
from indexer.points import read_payload
from indexer.store import QdrantSettings, Store
from schemas.dead_letters import Reason
from schemas.headers import BULK, COUNTED, FIRST_SEEN, LANE, VIEW, Source
from stream.freshness import PARTS, PROMISE_SECONDS, Laps, Part
from stream.health import Health
from stream.images.fetcher import FetchError, ImageFetcher, Unavailable
from stream.metrics import Metrics
from stream.pipeline import Pipeline, PipelineSettings, milliseconds
from stream.records import Journey, Record
from stream.stages import Stages, StageSettings
from tests.factories import DIMENSION, NOW, FakeDeadLetters, FakeEncoder, FakeFetcher, event, record

BUDGET = timedelta(hours=5)
TROUBLE = {"ill": Unavailable("HTTP 503"), "gone": FetchError(Reason.IMAGE_MISSING, "HTTP 404")}
START = NOW.timestamp()


pytestmark = pytest.mark.usefixtures("quiet")


@dataclass
class Retries:
    """Keeps what is parked, as the retry topic has it."""

    now: Callable[[], datetime]
    parked: list[Record] = field(default_factory=list)

    async def park(self, parked: Record, journey: Journey, first_seen_ms: int) -> None:
        headers = journey.source.headers() | {VIEW: b"v", LANE: journey.lane.encode()}
        headers |= {FIRST_SEEN: b"%d" % first_seen_ms} | ({COUNTED: b"1"} if journey.counted else {})
        when = milliseconds(self.now())
        self.parked.append(Record("catalog.retry", 0, len(self.parked), parked.key, parked.value, when, headers))


class Seen:
    """A watcher that keeps the parts of every event that became readable."""

    def __init__(self) -> None:
        self.fresh_ones: list[tuple[float, Mapping[str, float]]] = []

    def settled(self, outcome: str) -> None:
        """Not asked for."""

    def fresh(self, event_type: str, seconds: float, parts: Mapping[str, float]) -> None:
        """An event became readable."""
        self.fresh_ones.append((seconds, parts))


@dataclass
class Shop:
    """The live and the retry lane of one view, on a clock that goes only when it is told to."""

    exits: AsyncExitStack
    now: datetime = NOW
    offset: int = 0
    fetcher: FakeFetcher = field(default_factory=FakeFetcher)
    encoder: FakeEncoder = field(default_factory=FakeEncoder)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    seen: Seen = field(default_factory=Seen)
    letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)

    async def open(self) -> Shop:
        self.store = Store(QdrantSettings(url=":memory:"))
        self.exits.callback(self.store.close)
        await self.store.run(lambda client: ensure_view(client, "v", DIMENSION, []))
        self.retries = Retries(lambda: self.now)
        metrics = Metrics(self.registry, view="v", lane="live", watcher=self.seen)
        stages = Stages(
            StageSettings(batch_pause=0),
            view="v",
            store=self.store,
            fetcher=cast(ImageFetcher, self.fetcher),
            encoder=cast(ImageEncoder, self.encoder),
            metrics=metrics,
            health=Health(),
        )
        await self.exits.enter_async_context(stages)
        self.lanes = {}
        for lane in ("live", "retry", "replay"):
            purpose = PipelineSettings("v", lane, "counter", retry_budget=BUDGET)
            pipeline = Pipeline(purpose, stages, self.letters, self.retries, metrics, clock=lambda: self.now)
            self.lanes[lane] = await self.exits.enter_async_context(pipeline)
        return self

    def published(self, images: str, *, age: float = 0, version: int | None = None, **context: Any) -> Record:
        """The next record of `catalog.events`."""
        self.offset += 1
        occurred = {"occurred_at": self.now - timedelta(seconds=age)}
        value = event(version or self.offset, images).model_copy(update=occurred)
        return record(value, offset=self.offset, timestamp_ms=milliseconds(self.now), **context)

    def hosts(self, **states: str) -> None:
        """How the host of each picture is from now on: ok, ill or gone."""
        self.fetcher.trouble = {name: TROUBLE[state] for name, state in states.items() if state != "ok"}

    async def put(self, published: Record, lane: str = "live") -> str:
        return await self.lanes[lane].process(published)

    async def retry(self) -> list[str]:
        """All that is parked, once more."""
        due, self.retries.parked = self.retries.parked, []
        return [await self.put(each, "retry") for each in due]

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"freshline_{name}", labels) or 0.0

    def counts(self, lane: str = "live") -> dict[str, float]:
        """Events in time, and those that were missed, by why."""
        good = sum(
            self.value("freshness_seconds_bucket", view="v", lane=lane, type=kind, le="3600.0")
            for kind in ("created", "deleted")
        )
        why = ("late", "parked_past", "dead_lettered")
        missed = {name: self.value("freshness_missed_total", view="v", lane=lane, why=name) for name in why}
        return {name: count for name, count in ({"fresh": good} | missed).items() if count}


@pytest.fixture
async def exits() -> Any:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def shop(exits: AsyncExitStack) -> Shop:
    return await Shop(exits).open()


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


# --- each case of docs/freshness.md ---------------------------------------------------------------------------------


async def test_an_event_that_is_readable_within_the_hour_is_fresh_and_later_it_is_late(shop: Shop) -> None:
    await shop.put(shop.published("a", age=PROMISE_SECONDS))
    await shop.put(shop.published("b", age=PROMISE_SECONDS + 1))

    assert shop.counts() == {"fresh": 1, "late": 1}
    assert shop.value("freshness_seconds_count", view="v", lane="live", type="created") == 2


async def test_every_way_to_miss_is_there_before_the_first_miss(shop: Shop) -> None:
    for why in ("late", "parked_past", "dead_lettered"):
        labels = {"view": "v", "lane": "live", "why": why}
        assert shop.registry.get_sample_value("freshline_freshness_missed_total", labels) == 0


async def test_one_of_its_pictures_makes_an_event_fresh_and_the_rest_changes_nothing(shop: Shop) -> None:
    shop.hosts(b="ill")
    assert await shop.put(shop.published("ab")) == "parked"
    assert shop.counts() == {"fresh": 1}

    shop.now += hours(2)
    assert await shop.retry() == ["parked"]
    shop.hosts()
    assert await shop.retry() == ["indexed"]
    assert shop.counts() == {"fresh": 1}


async def test_a_parked_event_that_comes_in_time_is_fresh_since_it_occurred(shop: Shop) -> None:
    shop.hosts(a="ill")
    await shop.put(shop.published("a", age=10))
    shop.now += hours(0.5)
    shop.hosts()
    await shop.retry()

    assert shop.counts() == {"fresh": 1}
    ((seconds, parts),) = shop.seen.fresh_ones
    assert seconds == pytest.approx(1810)
    assert (parts["before_kafka"], parts["waiting"], parts["parked"]) == pytest.approx((10, 0, 1800))


async def test_a_parked_event_is_missed_once_when_the_hour_is_over_whatever_comes_then(shop: Shop) -> None:
    shop.hosts(a="ill")
    await shop.put(shop.published("a"))
    for _ in range(3):
        assert await shop.retry() == ["parked"]
        shop.now += hours(0.9)
    assert shop.counts() == {"parked_past": 1}

    shop.hosts()
    assert await shop.retry() == ["indexed"]
    assert shop.counts() == {"parked_past": 1}


async def test_an_event_that_is_parked_when_it_is_past_the_hour_already_is_missed_at_once(shop: Shop) -> None:
    shop.hosts(a="ill")
    await shop.put(shop.published("a", age=2 * PROMISE_SECONDS))

    assert shop.counts() == {"parked_past": 1}


async def test_given_up_within_the_hour_for_a_passing_cause_is_missed(shop: Shop) -> None:
    shop.encoder.error = RuntimeError("no such device")
    assert await shop.put(shop.published("a")) == "dead_lettered"
    shop.encoder.error = None
    shop.hosts(b="ill", c="gone")
    await shop.put(shop.published("bc"))
    (parked,) = shop.retries.parked
    spent = {**parked.headers, FIRST_SEEN: b"%d" % milliseconds(shop.now - BUDGET)}
    again = Record(*("catalog.retry", 0, 9), parked.key, parked.value, parked.timestamp_ms, spent)
    assert await shop.put(again, "retry") == "dead_lettered"

    assert shop.counts() == {"dead_lettered": 2}


async def test_what_is_wrong_with_an_event_is_no_miss_of_ours(shop: Shop) -> None:
    shop.hosts(a="gone")
    assert await shop.put(shop.published("a")) == "dead_lettered"
    assert await shop.put(record(b"{", offset=9)) == "dead_lettered"
    await shop.put(shop.published("b", version=50))
    assert await shop.put(shop.published("c", version=40)) == "dead_lettered"

    assert shop.counts() == {"fresh": 1}


async def test_a_parked_event_that_a_newer_one_passes_is_excused(shop: Shop) -> None:
    shop.hosts(a="ill")
    await shop.put(shop.published("a"))
    await shop.put(shop.published("b"))
    shop.now += hours(2)

    assert await shop.retry() == ["stale"]
    assert shop.counts() == {"fresh": 1}


async def test_what_is_imported_or_sent_again_does_not_count_as_live(shop: Shop) -> None:
    await shop.put(shop.published("a", age=9 * PROMISE_SECONDS, headers={BULK: b"1"}))
    await shop.put(shop.published("b", age=9 * PROMISE_SECONDS, headers=Source(0, 7, 1).headers()), "replay")
    shop.hosts(c="ill")
    await shop.put(shop.published("c", age=9 * PROMISE_SECONDS, headers={BULK: b"1"}))
    shop.now += hours(5)
    assert await shop.retry() == ["dead_lettered"]

    assert shop.counts() == {}
    assert shop.value("freshness_seconds_count", view="v", lane="replay", type="created") == 2


async def test_an_event_that_is_delivered_again_is_not_counted_again(shop: Shop) -> None:
    shop.hosts(b="ill")
    whole, partial, deleted = shop.published("a"), shop.published("ab"), shop.published("")
    for each in (whole, whole, partial, partial, deleted, deleted):
        await shop.put(each)

    assert shop.counts() == {"fresh": 3}


async def test_only_the_parts_that_an_event_went_through_are_counted(shop: Shop) -> None:
    await shop.put(shop.published("a"))
    await shop.put(shop.published("a"))

    counts = {part: shop.value("freshness_part_seconds_count", lane="live", part=part) for part in PARTS}
    assert counts == dict.fromkeys(PARTS, 2) | {"parked": 0, "fetch": 1, "decode": 1, "encode": 1}


# --- the parts ------------------------------------------------------------------------------------------------------

SECONDS = st.floats(-5000, 5000)


@given(st.lists(st.tuples(st.sampled_from(PARTS[3:]), SECONDS), max_size=12), SECONDS, SECONDS, st.none() | SECONDS)
def test_no_part_is_below_zero_and_they_add_up_whatever_the_clocks_say(
    ends: list[tuple[Part, float]], occurred: float, appended: float, trouble: float | None
) -> None:
    now = START
    source = Source(0, 1, round((START + appended) * 1000))
    first_seen = None if trouble is None else round((START + trouble) * 1000)
    at = datetime.fromtimestamp(START + occurred, UTC)
    laps = Laps(event(occurred_at=at.isoformat()), Journey(source, first_seen_ms=first_seen), lambda: now)
    for part, moment in ends:
        now = START + moment
        laps.end(part)
    parts = laps.parts()

    assert all(seconds >= 0 for seconds in parts.values())
    assert list(parts) == [part for part in PARTS if part in parts]
    began = min(at.timestamp(), source.timestamp_ms / 1000, START)
    last = max([START, *(START + moment for _, moment in dict(ends).items())])
    assert sum(parts.values()) == pytest.approx(last - began, abs=1e-5)


# --- whatever happens -----------------------------------------------------------------------------------------------

STATE = st.sampled_from(["ok", "ok", "ill", "gone"])
STEP = st.one_of(
    st.tuples(st.just("put"), st.lists(st.sampled_from(["a", "ab", "b", "bc", "c", ""]), min_size=1, max_size=3)),
    st.tuples(st.just("hosts"), st.fixed_dictionaries({"a": STATE, "b": STATE, "c": STATE})),
    st.tuples(st.just("wait"), st.integers(1, 4000)),
    st.tuples(st.just("retry"), st.none()),
)


class Judge:
    """What each event should have counted as, from what the view holds and what was given up on."""

    def __init__(self, shop: Shop, age: float) -> None:
        self._shop = shop
        self._age = age
        self.expected: Counter[str] = Counter()
        self._open: dict[int, float] = {}

    async def put(self, several: list[str]) -> None:
        """Publish events of one product at once, and look at each."""
        shop = self._shop
        records = [shop.published(images, age=self._age) for images in several]
        outcomes = await asyncio.gather(*(shop.put(each) for each in records))
        for each, outcome in zip(records, outcomes, strict=True):
            self._open[each.offset] = shop.now.timestamp() - self._age
            self.look(each.offset, outcome)

    def look(self, offset: int, outcome: str) -> None:
        """An event was tried."""
        if offset not in self._open:
            return
        shop, late = self._shop, self._shop.now.timestamp() - self._open[offset] > PROMISE_SECONDS
        if outcome in ("superseded", "stale"):
            del self._open[offset]
        elif self._readable(offset):
            self._settle(offset, "late" if late else "fresh")
        elif outcome == "parked":
            if late:
                self._settle(offset, "parked_past")
        else:
            passing = [letter.message for letter in shop.letters.letters if letter.offset == offset][-1]
            self._settle(offset, "dead_lettered" if "503" in passing else None)

    def _settle(self, offset: int, what: str | None) -> None:
        del self._open[offset]
        self.expected.update([what] if what else [])

    def _readable(self, offset: int) -> bool:
        payload = self._shop.store.run_sync(lambda client: read_payload(client, "v", "p1"))
        assert payload is not None
        return payload.offset == offset and (payload.deleted or payload.revision % 32 > 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEP, min_size=3, max_size=15), st.sampled_from([0, 1, 1800, 3700]))
def test_each_accepted_live_event_is_counted_once(steps: list[tuple[str, Any]], age: float) -> None:
    asyncio.run(_play(steps, age))


async def _play(steps: list[tuple[str, Any]], age: float) -> None:
    async with AsyncExitStack() as exits:
        shop = await Shop(exits).open()
        judge = Judge(shop, age)
        for name, what in [*steps, *[("wait", 4000), ("retry", None)] * 6]:
            if name == "put":
                await judge.put(what)
            elif name == "hosts":
                shop.hosts(**what)
            elif name == "wait":
                shop.now += timedelta(seconds=what)
            else:
                offsets = [int(each.headers["source-offset"] or b"") for each in shop.retries.parked]
                for offset, parked in zip(offsets, shop.retries.parked.copy(), strict=True):
                    shop.retries.parked.remove(parked)
                    judge.look(offset, await shop.put(parked, "retry"))

        assert shop.retries.parked == []
        assert not judge._open
        assert shop.counts() == dict(judge.expected)
        total = sum(seconds for seconds, _ in shop.seen.fresh_ones)
        assert sum(sum(parts.values()) for _, parts in shop.seen.fresh_ones) == pytest.approx(total)
