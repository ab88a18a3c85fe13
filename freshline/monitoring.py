"""The monitor from its settings, and the pages that it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from prometheus_client import CollectorRegistry

from freshline import __version__
from freshline.settings import Settings
from freshline.status import Page, Routes, serve_status
from indexer.store import Store
from stream.monitor.collector import MonitorCollector
from stream.monitor.monitor import Monitor, MonitorSettings
from stream.monitor.state import CanaryState

QDRANT_SECONDS = 5
"""Of patience for one request."""


@contextmanager
def opened_monitor(
    settings: Settings, registry: CollectorRegistry, *, canaries: Callable[[], list[CanaryState]] = list
) -> Iterator[Monitor]:
    """A monitor of the installation that the settings name, ready to run.

    Args:
        settings: of everything.
        registry: where its metrics go.
        canaries: how the canaries are, asked from any thread.

    Raises:
        MonitorError: a setting is wrong.
    """
    store = Store(replace(settings.qdrant(), timeout_seconds=QDRANT_SECONDS))
    try:
        with Monitor(_monitor_settings(settings), store, registry, canaries) as monitor:
            registry.register(MonitorCollector(monitor))
            yield monitor
    finally:
        store.close()


def serve_monitor(settings: Settings, registry: CollectorRegistry, monitor: Monitor) -> None:
    """Serve its pages in threads of their own.

    Raises:
        OSError: the port is taken.
    """
    serve_status(settings.host, settings.monitor_port, registry, monitor.waits_for, routes(monitor))


def routes(monitor: Monitor) -> Routes:
    """The pages beside those that every process has."""
    return {"/ops/state.json": lambda: Page("application/json", monitor.state().model_dump_json().encode())}


def _monitor_settings(settings: Settings) -> MonitorSettings:
    return MonitorSettings(
        settings.group,
        settings.topics,
        settings.kafka(),
        alias=settings.alias,
        interval_seconds=settings.monitor_interval_seconds,
        goal_seconds=settings.freshness_goal_seconds,
        prometheus_url=settings.prometheus_url,
        version=__version__,
    )
