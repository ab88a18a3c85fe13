"""The monitor from its settings, and the pages that it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from prometheus_client import CollectorRegistry

from freshline import __version__
from freshline.settings import Settings
from freshline.status import JSON, Page, Routes, serve_status
from indexer.store import Store
from stream.monitor.collector import MonitorCollector
from stream.monitor.monitor import Monitor, MonitorSettings
from stream.monitor.state import CanaryState
from stream.ops.page import ops_headers, ops_page

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


def serve_monitor(
    settings: Settings,
    registry: CollectorRegistry,
    monitor: Monitor,
    picture: Callable[[str], bytes | None] = lambda _: None,
) -> None:
    """Serve its pages in threads of their own.

    Args:
        settings: of the address.
        registry: of the metrics.
        monitor: whose state is shown.
        picture: by its name, the canary's that is to be had now.

    Raises:
        OSError: the port is taken.
    """
    serve_status(settings.host, settings.monitor_port, registry, monitor.waits_for, routes(monitor, picture))


def routes(monitor: Monitor, picture: Callable[[str], bytes | None]) -> Routes:
    """The pages beside those that every process has."""
    page, headers = ops_page().encode(), ops_headers()
    return {
        "/ops": lambda _: Page(page, headers),
        "/ops/state.json": lambda _: Page(monitor.state().model_dump_json().encode(), JSON),
        "/canary/": partial(_picture, picture),
    }


def _picture(picture: Callable[[str], bytes | None], name: str) -> Page | None:
    body = picture(name)
    return None if body is None else Page(body, {"Content-Type": "image/jpeg", "Cache-Control": "no-store"})


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
