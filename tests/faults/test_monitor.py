"""The monitor while parts are away: what it knew does not stand still, and it says what it can't see."""

from __future__ import annotations

from pathlib import Path

from infra.local.stack import LocalStack
from tests.harness import Installation, draw, eventually, listing
from tests.monitoring import MonitorProcess, grew_by_the_clock


def test_while_kafka_is_away_ages_grow_by_the_clock_and_fall_once_a_worker_is_done(
    shop: Installation, monitor: MonitorProcess, mended: LocalStack, tmp_path: Path
) -> None:
    shop.publish(listing("p", [draw(tmp_path / "any.jpg", 1)]))
    eventually(lambda: monitor.lane().lag_events == 1)
    before = monitor.pending()

    mended.kill("kafka")
    eventually(lambda: monitor.get("/readyz")[0] == 503, what="the monitor not ready")

    state = monitor.state()
    assert any(problem.startswith("kafka: ") for problem in state.problems)
    assert grew_by_the_clock(before, monitor.pending())
    assert monitor.get("/healthz")[0] == 200
    none_yet = 'freshline_monitor_failures_total{part="kafka"} 0.0'
    eventually(lambda: none_yet not in monitor.get("/metrics")[1], what="the round's end")

    mended.start("kafka")
    eventually(monitor.ready, what="the monitor ready again")
    eventually(lambda: not any(problem.startswith("kafka: ") for problem in monitor.state().problems))
    assert grew_by_the_clock(before, monitor.pending())
    with shop.worker():
        eventually(lambda: monitor.lane().oldest_pending_seconds == 0)


def test_while_qdrant_is_away_the_last_known_views_go_on(
    shop: Installation, monitor: MonitorProcess, mended: LocalStack, tmp_path: Path
) -> None:
    mended.kill("qdrant")
    eventually(lambda: any(problem.startswith("qdrant: ") for problem in monitor.state().problems))

    shop.publish(listing("p", [draw(tmp_path / "any.jpg", 1)]))
    eventually(lambda: monitor.lane().lag_events == 1)
    assert monitor.ready()

    mended.start("qdrant")
    eventually(lambda: not monitor.state().problems)
