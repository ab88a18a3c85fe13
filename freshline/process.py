"""What every long-running process of ours has: metrics of itself, and its stacks on demand."""

from __future__ import annotations

import faulthandler
import signal

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector

from freshline import __version__


def introduce(registry: CollectorRegistry) -> None:
    """Process and platform metrics, and `freshline_build_info`; SIGUSR1 writes all threads' stacks to stderr."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    build = Gauge("freshline_build_info", "1; which version runs.", ["version"], registry=registry)
    build.labels(__version__).set(1)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
