"""What each real process answers at `/metrics`."""

from __future__ import annotations

import urllib.request

from tests.harness import Installation, eventually
from tests.monitoring import MonitorProcess
from tests.prometheus import promtool


def assert_clean(url: str) -> None:
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    checked = promtool("check", "metrics", stdin=text)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, ""), url


def test_promtool_finds_nothing_amiss(shop: Installation, monitor: MonitorProcess) -> None:
    with shop.worker() as worker, shop.serving() as search:
        eventually(worker.ready, what="the worker")
        assert_clean(f"http://127.0.0.1:{worker.port}")
        assert_clean(search)
        assert_clean(f"http://127.0.0.1:{monitor.port}")
