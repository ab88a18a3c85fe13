"""The monitor's figures as metrics, reckoned when Prometheus asks: an age grows by the clock, whoever is away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stream.monitor.pending import LaneFacts
from stream.monitor.state import LaneState, OpsState, ViewState

_LANE = ["view", "lane"]


class Figures(Protocol):
    """What a monitor knows."""

    @property
    def facts(self) -> Mapping[str, Sequence[LaneFacts]]:
        """By view, its lanes."""

    @property
    def last_success_seconds(self) -> float:
        """When Kafka's figures were last complete, since 1970."""

    def state(self) -> OpsState:
        """All, as of now."""


def failures(registry: CollectorRegistry) -> Counter:
    """Counted as they happen."""
    return Counter("freshline_monitor_failures", "Rounds in which a part told not all.", ["part"], registry=registry)


class MonitorCollector(Collector):
    """All of the monitor's metrics but its failures."""

    def __init__(self, monitor: Figures) -> None:
        self._monitor = monitor

    def collect(self) -> Iterable[Metric]:
        """Each metric with its samples of this moment."""
        state = self._monitor.state()
        yield from _of_lanes(state)
        yield from self._totals()
        yield from _of_views(state)
        letters = GaugeMetricFamily(
            "freshline_dead_letters_waiting", "Dead letters neither redriven nor removed.", labels=["reason"]
        )
        for count in state.dead_letters:
            letters.add_metric([count.reason], count.waiting)
        yield letters
        yield GaugeMetricFamily(
            "freshline_monitor_last_success_timestamp_seconds",
            "When the monitor last saw all of Kafka's figures.",
            value=self._monitor.last_success_seconds,
        )

    def _totals(self) -> Iterable[Metric]:
        arrived = CounterMetricFamily(
            "freshline_arrival_events", "Records that came, since the monitor started.", labels=_LANE
        )
        committed = CounterMetricFamily(
            "freshline_committed_events", "Records that were committed, since the monitor started.", labels=_LANE
        )
        for view, lanes in self._monitor.facts.items():
            for facts in lanes:
                arrived.add_metric([view, facts.lane], facts.rates.arrived)
                committed.add_metric([view, facts.lane], facts.rates.worked)
        return arrived, committed

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask for what is not known yet."""
        return ()


def _of_lanes(state: OpsState) -> Iterable[Metric]:
    pending = GaugeMetricFamily(
        "freshline_oldest_pending_seconds", "Age of the first event that is not committed.", labels=_LANE
    )
    lag = GaugeMetricFamily(
        "freshline_consumer_lag_events", "Offsets that are not committed.", labels=[*_LANE, "partition"]
    )
    catch_up = GaugeMetricFamily(
        "freshline_catch_up_seconds", "Until the lag is gone at the present rates.", labels=_LANE
    )
    members = GaugeMetricFamily("freshline_group_members", "Workers in the lane's group.", labels=_LANE)
    margin = GaugeMetricFamily(
        "freshline_retention_margin_seconds", "Until the broker may remove something pending.", labels=_LANE
    )
    for view, lane in _each(state):
        labels = [view.name, lane.lane]
        pending.add_metric(labels, lane.oldest_pending_seconds)
        catch_up.add_metric(labels, _or_never(lane.catch_up_seconds))
        members.add_metric(labels, lane.members)
        margin.add_metric(labels, _or_never(lane.retention_margin_seconds))
        for partition in lane.partitions:
            lag.add_metric([*labels, str(partition.partition)], partition.lag_events)
    return pending, lag, catch_up, members, margin


def _of_views(state: OpsState) -> Iterable[Metric]:
    serving = GaugeMetricFamily("freshline_view_serving", "1 for the view that shoppers see.", labels=["view"])
    points = GaugeMetricFamily("freshline_view_points", "Products and tombstones in the view.", labels=["view"])
    for view in state.views:
        serving.add_metric([view.name], view.serving)
        if view.points is not None:
            points.add_metric([view.name], view.points)
    return serving, points


def _each(state: OpsState) -> Iterable[tuple[ViewState, LaneState]]:
    return ((view, lane) for view in state.views for lane in view.lanes)


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
