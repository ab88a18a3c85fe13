"""The shipped rules in a real Prometheus and Alertmanager, 60 times as fast as they are meant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tests.harness import Installation, draw, eventually, listing
from tests.monitoring import MonitorProcess
from tests.prometheus import AlertingPrometheus

VIEW = "shoes-1"


class Outside:
    """What a monitor reports, said by the test, at a port of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.pending = Gauge("freshline_oldest_pending_seconds", "Age.", ["view", "lane"], registry=registry)
        serving = Gauge("freshline_view_serving", "1.", ["view"], registry=registry)
        success = Gauge("freshline_monitor_last_success_timestamp_seconds", "When.", registry=registry)
        self.pending.labels(VIEW, "live").set(0)
        serving.labels(VIEW).set(1)
        success.set_function(time.time)
        self._server, self._thread = start_http_server(0, "127.0.0.1", registry)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def outside() -> Iterator[Outside]:
    opened = Outside()
    yield opened
    opened.close()


def test_an_outage_pages_and_its_end_resolves_it(outside: Outside, tmp_path: Path) -> None:
    with AlertingPrometheus([outside.target], tmp_path) as prometheus:
        burn = f'slo_view:freshline_burn:1h{{slo="promise", view="{VIEW}"}}'
        eventually(lambda: prometheus.value(burn) == 0, what="nothing burns")
        assert prometheus.alert("FreshnessBurnFast") is None

        outside.pending.labels(VIEW, "live").set(3601)
        alert = prometheus.firing("FreshnessBurnFast")
        assert (alert["labels"]["view"], alert["receivers"]) == (VIEW, [{"name": "page"}])

        outside.pending.labels(VIEW, "live").set(0)
        prometheus.resolved("FreshnessBurnFast")
        assert prometheus.value(burn) > 14.4, "the long window still remembers, and the short one has resolved it"  # type: ignore[operator]


def test_dead_workers_page_by_what_the_real_monitor_sees_until_one_is_back(shop: Installation, tmp_path: Path) -> None:
    url = draw(tmp_path / "any.jpg", 1)
    with shop.worker() as worker:
        shop.publish(listing("before", [url]))
        eventually(shop.caught_up)
        worker.kill()
    monitor = MonitorProcess(shop)
    try:
        eventually(monitor.ready, what="the monitor")
        with AlertingPrometheus([f"127.0.0.1:{monitor.port}"], tmp_path, limits={"promise": 3}) as prometheus:
            shop.publish(listing("waiting", [url]))
            assert prometheus.firing("FreshnessBurnFast")["labels"]["view"] == shop.view
            assert monitor.lane().oldest_pending_seconds > 3
            with shop.worker():
                eventually(lambda: monitor.lane().oldest_pending_seconds == 0, within=60)
                prometheus.resolved("FreshnessBurnFast")
    finally:
        monitor.kill()


def test_a_monitor_that_dies_is_missed(tmp_path: Path) -> None:
    outside = Outside()
    try:
        with AlertingPrometheus([outside.target], tmp_path) as prometheus:
            seen = "freshline_monitor_last_success_timestamp_seconds"
            eventually(lambda: prometheus.value(seen) is not None, what="the first scrape")
            outside.close()
            assert prometheus.firing("MonitorAbsent")["receivers"] == [{"name": "page"}]
    finally:
        outside.close()
