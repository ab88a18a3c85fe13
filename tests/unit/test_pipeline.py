from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import grpc
import pytest
from prometheus_client import CollectorRegistry

from encoders.session import ImageEncoder
from indexer.points import RANK_FIELDS, Point, read_payload, read_stored
from indexer.store import IndexUnusable, Store
from indexer.writer import Written, write
from schemas.dead_letters import Reason
from schemas.events import VersionScheme
from schemas.headers import Source
from schemas.payloads import Payload, revision_of
from stream.health import Health
from stream.images.fetcher import FetchError, ImageFetcher, Unavailable
from stream.limits import LimitSettings, TooManyDeadLetters
from stream.metrics import Metrics
from stream.pipeline import Pipeline, PipelineSettings, milliseconds
from stream.stages import Stages, StageSettings
from stream.trail import Followed
from tests.factories import (
    NOW,
    VIEW,
    FakeDeadLetters,
    FakeEncoder,
    FakeFetcher,
    FakeRetries,
    as_json,
    colour_vector,
    event,
    record,
    rounded,
    url,
)

GONE = FetchError(Reason.IMAGE_MISSING, "http://images.test/x: HTTP 404")
ILL = Unavailable("http://images.test/x: HTTP 503")


@dataclass
class Line:
    """A pipeline over a view of its own, with its fakes at hand."""

    store: Store
    lane: str = "live"
    versions: VersionScheme = "counter"
    fetcher: FakeFetcher = field(default_factory=FakeFetcher)
    encoder: FakeEncoder = field(default_factory=FakeEncoder)
    letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    retries: FakeRetries = field(default_factory=FakeRetries)
    health: Health = field(default_factory=Health)
    limits: LimitSettings = field(default_factory=LimitSettings)
    followed: Followed = field(default_factory=Followed)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    async def open(self, exits: AsyncExitStack) -> Line:
        metrics = Metrics(self.registry, view=VIEW, lane=self.lane)
        stages = Stages(
            StageSettings(batch_pause=0),
            view=VIEW,
            store=self.store,
            fetcher=cast(ImageFetcher, self.fetcher),
            encoder=cast(ImageEncoder, self.encoder),
            metrics=metrics,
            health=self.health,
        )
        await exits.enter_async_context(stages)
        settings = PipelineSettings(VIEW, self.lane, self.versions, "1.2.3", limits=self.limits, followed=self.followed)
        self.pipeline = await exits.enter_async_context(
            Pipeline(settings, stages, self.letters, self.retries, metrics, clock=lambda: NOW)
        )
        return self

    async def put(self, version: int = 1, images: str = "a", *, offset: int | None = None, **changes: Any) -> str:
        context = {name: changes.pop(name) for name in ("headers", "topic") if name in changes}
        value = event(version, images, **changes)
        return await self.pipeline.process(record(value, offset=version if offset is None else offset, **context))

    def held(self, product_id: str = "p1") -> Payload | None:
        return self.store.run_sync(lambda client: read_payload(client, VIEW, product_id))

    def payload(self, product_id: str = "p1") -> Payload:
        payload = self.held(product_id)
        assert payload is not None
        return payload

    def vectors(self, product_id: str = "p1") -> list[list[float]]:
        found = self.store.run_sync(
            lambda client: read_stored(client, VIEW, [product_id], fields=RANK_FIELDS, vectors=True)
        )
        return rounded(found[product_id].vectors)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"freshline_{name}", labels) or 0.0

    def outcomes(self) -> dict[str, float]:
        return {
            sample.labels["outcome"]: sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "freshline_events_total"
        }

    def fresh(self, kind: str = "created") -> float:
        return self.value("freshness_seconds_count", view=VIEW, lane=self.lane, type=kind)


@pytest.fixture
async def line(store: Store) -> AsyncIterator[Line]:
    async with AsyncExitStack() as exits:
        yield await Line(store).open(exits)


def seen(*names: str) -> list[list[float]]:
    return rounded([colour_vector(name) for name in names])


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # any change of any fake
            await asyncio.sleep(0.001)


# --- outcomes -------------------------------------------------------------------------------------------------------


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


# --- several events of one product ----------------------------------------------------------------------------------


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


# --- images that can not be had -------------------------------------------------------------------------------------


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


# --- records that are no event --------------------------------------------------------------------------------------


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


# --- lanes ----------------------------------------------------------------------------------------------------------


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


# --- the retry lane -------------------------------------------------------------------------------------------------


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


# --- infrastructure and faults of ours ------------------------------------------------------------------------------


class Away(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


async def test_while_qdrant_is_away_the_event_is_held_and_then_written(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, troubles = line.store.run, [Away(), Away(), Away()]

    async def run(operation: Any) -> Any:
        if troubles:
            raise troubles.pop()
        return await real(operation)

    monkeypatch.setattr(line.store, "run", run)
    monkeypatch.setattr("stream.stages.wait_exponential_jitter", lambda **_: lambda _state: 0.0)

    assert await line.put(1) == "indexed"
    assert line.letters.letters == []


async def test_while_qdrant_is_away_the_worker_is_not_ready(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    real, back = line.store.run, asyncio.Event()

    async def run(operation: Any) -> Any:
        if not back.is_set():
            raise Away
        return await real(operation)

    monkeypatch.setattr(line.store, "run", run)
    monkeypatch.setattr("stream.stages.wait_exponential_jitter", lambda **_: lambda _state: 0.001)
    task = asyncio.create_task(line.put(1))
    await until(lambda: line.health.away == ["qdrant"])
    back.set()

    assert await task == "indexed"
    assert line.health.away == []


async def test_if_qdrant_refuses_us_the_worker_stops_and_nothing_is_given_up(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refused(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.NOT_FOUND

    async def run(_: Any) -> Any:
        raise Refused

    monkeypatch.setattr(line.store, "run", run)

    with pytest.raises(IndexUnusable, match=VIEW):
        await line.put(1)
    assert line.letters.letters == []


async def test_a_fault_of_ours_with_one_event_is_its_dead_letter(line: Line) -> None:
    line.encoder.error = RuntimeError("no such device")

    assert await line.put(1) == "dead_lettered"
    (letter,) = line.letters.letters
    assert (letter.reason, letter.message) == (Reason.INTERNAL, "RuntimeError: no such device")
    assert line.held() is None


async def test_a_fault_of_ours_with_every_event_stops_the_worker(store: Store) -> None:
    async with AsyncExitStack() as exits:
        line = await Line(store, limits=LimitSettings(run=3)).open(exits)
        line.encoder.error = RuntimeError("no such device")
        for number in range(3):
            assert await line.put(1, product_id=f"p{number}") == "dead_lettered"

        with pytest.raises(TooManyDeadLetters):
            await line.put(1, product_id="p3")
        assert len(line.letters.letters) == 3


async def test_one_point_that_qdrant_refuses_does_not_fail_those_beside_it(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(client: Any, view: str, points: Sequence[Point]) -> list[Written]:
        if any(point.payload.product_id == "bad" for point in points):
            raise ValueError("not this one")
        return write(client, view, points)

    monkeypatch.setattr("stream.stages.write", refuses)
    names = ["p1", "bad", "p2"]

    outcomes = await asyncio.gather(*(line.put(1, product_id=name) for name in names))

    assert outcomes == ["indexed", "dead_lettered", "indexed"]
    assert [letter.product_id for letter in line.letters.letters] == ["bad"]


async def test_an_event_that_is_given_up_in_the_middle_is_done_when_it_comes_again(line: Line) -> None:
    line.fetcher.gates["a"] = asyncio.Event()
    task = asyncio.create_task(line.put(1, "a"))
    await until(lambda: line.fetcher.requests)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    line.fetcher.gates["a"].set()

    assert await line.put(1, "a") in ("indexed", "stale")
    assert line.vectors() == seen("a")


async def test_an_event_from_the_future_is_as_old_as_its_record(line: Line) -> None:
    """A publisher's clock that is ahead must not make us look fresher than we are."""
    await line.put(1, "a", occurred_at=(NOW + timedelta(minutes=1)).isoformat())

    assert line.value("freshness_seconds_sum", view=VIEW, lane="live", type="created") == 1
