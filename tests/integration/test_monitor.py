"""The monitor on real Kafka and Qdrant: what it says of lanes whose workers are dead, late, or were never there."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from schemas.headers import Source
from stream.monitor.lanes import Lanes
from stream.monitor.peek import Peeker
from stream.monitor.pending import LaneFacts, lane_state, retention_margin
from stream.monitor.positions import Position
from stream.monitor.state import OpsState
from tests.harness import Installation, draw, event, eventually, listing
from tests.monitoring import MonitorProcess, grew_by_the_clock
from tests.prometheus import AlertingPrometheus


def test_with_every_worker_dead_what_waits_grows_older_second_by_second_until_one_is_back(
    shop: Installation, monitor: MonitorProcess, tmp_path: Path
) -> None:
    url = draw(tmp_path / "any.jpg", 1)
    with shop.worker() as worker:
        shop.publish(listing("before", [url]))
        eventually(shop.caught_up)
        eventually(lambda: (monitor.lane().members, monitor.lane().oldest_pending_seconds) == (1, 0))
        worker.kill()

    shop.publish(listing("p0", [url]))
    eventually(lambda: monitor.lane().lag_events == 1)
    seen = [monitor.pending()]
    while seen[-1][0] < seen[0][0] + 10:
        shop.publish(listing(f"p{len(seen)}", [url]))
        time.sleep(0.5)  # the test is about the time that passes
        seen.append(monitor.pending())

    assert all(grew_by_the_clock(seen[0], later) for later in seen)
    eventually(lambda: monitor.lane().lag_events == len(seen))
    assert monitor.lane().catch_up_seconds is None
    eventually(lambda: monitor.lane().members == 0, within=30)

    with shop.worker():
        eventually(lambda: monitor.lane().oldest_pending_seconds == 0 and monitor.lane().lag_events == 0)
        lane = monitor.lane()
        assert (lane.members, lane.catch_up_seconds) == (1, 0)
    history = monitor.state().history
    assert max(sample.oldest_pending_seconds for sample in history) > 8


def test_its_pages_and_metrics(shop: Installation, monitor: MonitorProcess, tmp_path: Path) -> None:
    shop.publish(*(listing(f"p{number}", [draw(tmp_path / "any.jpg", 1)]) for number in range(5)))
    eventually(lambda: monitor.lane().lag_events == 5)

    metrics = monitor.get("/metrics")[1]

    view = shop.view
    assert f'freshline_view_serving{{view="{view}"}} 1.0' in metrics
    assert f'freshline_catch_up_seconds{{lane="live",view="{view}"}} +Inf' in metrics
    assert f'freshline_arrival_events_total{{lane="live",view="{view}"}}' in metrics
    assert f'freshline_group_members{{lane="retry",view="{view}"}} 0.0' in metrics
    assert f'freshline_retention_margin_seconds{{lane="live",view="{view}"}} +Inf' in metrics
    assert 'freshline_monitor_failures_total{part="kafka"} 0.0' in metrics
    assert "process_start_time_seconds" in metrics
    lines = [line for line in metrics.splitlines() if line.startswith("freshline_consumer_lag_events")]
    assert sum(float(line.split()[1]) for line in lines if 'lane="live"' in line) == 5
    assert monitor.get("/healthz")[0] == 200
    assert monitor.get("/nothing")[0] == 404
    monitor.process.send_signal(signal.SIGTERM)
    assert monitor.process.wait(20) == 0


def test_the_page_and_the_canary(shop: Installation) -> None:
    monitor = MonitorProcess(shop, FRESHLINE_CANARY_INTERVAL_SECONDS="60")
    try:
        eventually(monitor.ready, what="the monitor")
        status, page = monitor.get("/ops")
        assert (status, "<title>" in page) == (200, True)
        with shop.worker():
            eventually(lambda: monitor.state().canaries)
            eventually(lambda: all(canary.last_success_ms for canary in monitor.state().canaries), within=90)
        canary = monitor.state().canaries[0]
        assert (canary.view, canary.failed_step, "found" in canary.steps) == (shop.view, None, True)
        assert 'freshline_canary_failures_total{step="found"' in monitor.get("/metrics")[1]
        monitor.process.send_signal(signal.SIGTERM)
        assert monitor.process.wait(20) == 0
    finally:
        monitor.kill()


def test_what_only_workers_know_comes_from_the_prometheus_that_scrapes_them(shop: Installation, tmp_path: Path) -> None:
    with shop.worker() as worker, AlertingPrometheus([f"127.0.0.1:{worker.port}"], tmp_path) as prometheus:
        monitor = MonitorProcess(shop, FRESHLINE_PROMETHEUS_URL=prometheus.url)
        try:
            eventually(monitor.ready, what="the monitor")
            eventually(worker.ready, what="the worker")
            number = iter(range(10_000))

            def published() -> OpsState:
                """As a shop at work: a rate needs more than one scrape with another count."""
                shop.publish(listing(f"p{next(number)}", [draw(tmp_path / "any.jpg", 1)]))
                return monitor.state()

            eventually(lambda: (published().outcomes or {}).get("indexed", 0) > 0, what="rates by outcome")
            fresh = eventually(lambda: [each for each in published().history if each.freshness_p99], what="freshness")
            state, newest = monitor.state(), fresh[-1]
            assert 0 < (newest.freshness_p50 or 0) <= (newest.freshness_p99 or 0) < 60
            assert state.problems == []
        finally:
            monitor.kill()


def test_dead_letters_are_counted_as_they_come(shop: Installation, monitor: MonitorProcess, tmp_path: Path) -> None:
    with shop.worker():
        shop.publish(listing("missing", [(tmp_path / "missing.jpg").as_uri()]))
        eventually(lambda: monitor.state().dead_letters)

    assert [count.model_dump() for count in monitor.state().dead_letters] == [
        {"reason": "image_missing", "recent": 1, "waiting": 1}
    ]


def test_once_prints_what_scripts_read_and_exits_1_if_anything_is_not_known(shop: Installation) -> None:
    shop.publish(event("deleted", "gone"))

    done = shop.run("monitor", "--once", "--json")
    assert done.returncode == 0, done.stderr
    state = OpsState.model_validate_json(done.stdout)
    assert [(lane.lane, lane.lag_events) for lane in state.views[0].lanes] == [("live", 1), ("retry", 0), ("replay", 0)]
    assert state.views[0].serving

    table = shop.run("monitor", "--once")
    assert table.returncode == 0
    assert "oldest pending" in table.stdout

    shop.env["FRESHLINE_KAFKA_BROKERS"] = "127.0.0.1:9"
    unknown = shop.run("monitor", "--once", "--json")
    assert unknown.returncode == 1
    assert any(problem.startswith("kafka: ") for problem in json.loads(unknown.stdout)["problems"])
    assert "Traceback" not in unknown.stderr


# --- what a round finds out, without a process -----------------------------------------------------------------------
@pytest.fixture
def lanes(shop: Installation) -> Iterator[Lanes]:
    with Lanes(shop.settings.kafka(), shop.settings.topics, shop.settings.group) as opened:
        yield opened


def look(lanes: Lanes, shop: Installation, lane: str) -> LaneFacts:
    found, problems = lanes.round([shop.view])
    assert problems == []
    return next(facts for facts in found[shop.view] if facts.lane == lane)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def commit(shop: Installation, lane: str, topic: str, offset: int, partition: int = 0) -> None:
    group = shop.settings.group(shop.view, lane)
    consumer = Consumer(shop.settings.kafka().librdkafka() | {"group.id": group, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
    consumer.close()


def configure(shop: Installation, topic: str, **settings: str) -> None:
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient(shop.settings.kafka().librdkafka())
    admin.incremental_alter_configs([resource])[resource].result(10)


def test_a_group_that_never_committed_has_all_of_the_topic_to_do(shop: Installation, lanes: Lanes) -> None:
    assert look(lanes, shop, "live").members == 0
    shop.publish(*(event("deleted", f"p{number}") for number in range(10)))

    state = lane_state(look(lanes, shop, "live"), now_ms())

    assert state.lag_events == 10
    assert {partition.committed_offset for partition in state.partitions} == {None}
    assert 0 < state.oldest_pending_seconds < 10


def test_a_parked_event_is_as_old_as_it_is_in_catalog_events(shop: Installation, lanes: Lanes) -> None:
    producer = Producer(shop.settings.kafka().librdkafka())
    headers = Source(0, 1, now_ms() - 3_600_000).headers()
    producer.produce(shop.settings.topics.retry, key=b"p", value=b"{}", headers=list(headers.items()))
    producer.flush()

    facts = look(lanes, shop, "retry")

    assert 3600 <= lane_state(facts, now_ms()).oldest_pending_seconds < 3610
    margin = retention_margin(facts, now_ms())
    assert 7 * 86400 - 60 < margin < 7 * 86400


def test_what_retention_removed_is_not_pending_but_the_margin_says_so(shop: Installation, lanes: Lanes) -> None:
    topic = shop.settings.topics.retry
    producer = Producer(shop.settings.kafka().librdkafka())
    for _ in range(10):
        producer.produce(topic, key=b"p", value=b"{}", partition=0)
    producer.flush()
    commit(shop, "retry", topic, 2)
    admin = AdminClient(shop.settings.kafka().librdkafka())
    place = TopicPartition(topic, 0, 6)
    admin.delete_records([place])[place].result(10)

    facts = look(lanes, shop, "retry")

    partition = lane_state(facts, now_ms()).partitions[0]
    assert (partition.begin_offset, partition.committed_offset, partition.lag_events) == (6, 2, 4)
    assert 0 < partition.oldest_pending_seconds < 10
    assert retention_margin(facts, now_ms()) == 0

    place = TopicPartition(topic, 0, 10)
    admin.delete_records([place])[place].result(10)
    assert lane_state(look(lanes, shop, "retry"), now_ms()).lag_events == 0


def test_holes_that_compaction_left_are_passed_over(shop: Installation, lanes: Lanes) -> None:
    topic = shop.settings.topics.events
    configure(
        shop,
        topic,
        min_compaction_lag_ms="0",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.01",
        delete_retention_ms="0",
    )
    producer = Producer(shop.settings.kafka().librdkafka())

    def send(key: bytes, value: bytes | None = b"{}") -> None:
        producer.produce(topic, key=key, value=value, partition=0)
        producer.flush()

    for _ in range(20):
        send(b"much")
    send(b"last")
    left = eventually(lambda: _compacted(shop, send, topic), within=120, what="the broker's log cleaner")
    commit(shop, "live", topic, 5)

    facts = look(lanes, shop, "live")

    first = facts.standings[0].first
    assert first is not None
    assert first.offset == left[0] > 5
    end = facts.standings[0].position.end
    assert lane_state(facts, now_ms()).partitions[0].lag_events == end - first.offset


def _compacted(shop: Installation, send: Any, topic: str) -> list[int] | None:
    """The offsets that are left, once the early ones of the key `much` are gone; each try rolls a segment."""
    send(b"roll")
    offsets = [offset for partition, offset, _ in shop.records(topic) if partition == 0]
    return offsets if offsets[0] > 5 else None


def test_where_only_a_transactions_marker_is_left_before_the_end_nothing_is_pending(
    shop: Installation, lanes: Lanes
) -> None:
    topic = shop.settings.topics.events
    settings = {"transactional.id": topic}
    producer = Producer(shop.settings.kafka().librdkafka() | settings)
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, key=b"p", value=b"{}", partition=0)
    producer.commit_transaction(20)
    assert shop.watermarks(topic)[0] == (0, 2)
    commit(shop, "live", topic, 1)

    state = lane_state(look(lanes, shop, "live"), now_ms())

    assert state.partitions[0].end_offset - (state.partitions[0].committed_offset or 0) == 1
    assert (state.lag_events, state.oldest_pending_seconds) == (0, 0)


def test_what_was_seen_once_is_not_fetched_again(shop: Installation) -> None:
    shop.publish(*(event("deleted", f"p{number}") for number in range(40)))
    topic = shop.settings.topics.events
    positions = {number: Position(low, high, None) for number, (low, high) in shop.watermarks(topic).items()}

    with Peeker(shop.settings.kafka()) as peeker:
        found = peeker.firsts(topic, positions)
        assert {number: first and first.offset for number, first in found.items()} == dict.fromkeys(positions, 0)
        assert peeker.fetched == len(positions)
        peeker.forget()

        assert peeker.firsts(topic, positions) == found
        assert peeker.fetched == len(positions)

        moved = Position(0, positions[0].end, 1)
        first = peeker.firsts(topic, positions | {0: moved})[0]
        assert first is not None
        assert (first.offset, peeker.fetched) == (1, len(positions) + 1)
