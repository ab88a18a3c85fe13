"""What the monitor knows at one moment, as `/ops/state.json` has it and the page `/ops` shows it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Lane = Literal["live", "retry", "replay"]


class _State(BaseModel):
    model_config = ConfigDict(frozen=True)


class PartitionState(_State):
    """A partition as one group stands in it."""

    partition: int
    begin_offset: int
    """The first that the broker still has."""
    end_offset: int
    """That of the next record to come."""
    committed_offset: int | None
    """None: the group has not committed here yet; it will begin at the earliest."""
    lag_events: int
    """Offsets from the first record that is left to the end; on a compacted topic fewer records may be there."""
    oldest_pending_seconds: float = 0.0
    """Age of the first record that is not committed, by its time in `catalog.events`; 0 when there is none."""


class LaneState(_State):
    """A lane of a view."""

    lane: Lane
    group: str
    members: int
    """Workers in the group now."""
    lag_events: int
    oldest_pending_seconds: float
    arrival_rate: float
    """Records a second that came, over the last minutes."""
    work_rate: float
    """Records a second that were committed."""
    catch_up_seconds: float | None
    """Until the lag is gone at these rates; 0 without lag, None if it would never be."""
    retention_margin_seconds: float | None = None
    """Until the broker may remove something pending; 0 if it did, None if it won't."""
    partitions: list[PartitionState]


class ViewState(_State):
    """A view: serving, or building."""

    name: str
    serving: bool
    space: str
    points: int | None
    """Products and tombstones in it; None if Qdrant didn't say."""
    lanes: list[LaneState]


class CanaryState(_State):
    """The canary's last round through a view."""

    view: str
    last_success_ms: int | None = None
    steps: dict[str, float] = Field(default_factory=dict)
    """Seconds of each step of the last round that got so far, in order."""
    failed_step: str | None = None
    """Of the last round; None if all went well."""
    message: str | None = None


class LetterCount(_State):
    """Dead letters of one reason."""

    reason: str
    recent: int
    """Of the last 24 hours."""
    waiting: int
    """Neither redriven nor removed."""


class Sample(_State):
    """Figures of the serving view at one moment."""

    at_ms: int
    oldest_pending_seconds: float
    lag_events: int
    arrival_rate: float
    work_rate: float
    freshness_p50: float | None = None
    """Seconds; only where Prometheus is asked (`FRESHLINE_PROMETHEUS_URL`)."""
    freshness_p99: float | None = None


class OpsState(_State):
    """All of it."""

    at_ms: int
    version: str
    interval_seconds: float = 15.0
    """How often the monitor looks: a state that is much older says that it has stopped."""
    goal_seconds: float
    """What freshness normally is."""
    promise_seconds: float = 3600.0
    """What it always is."""
    problems: list[str] = Field(default_factory=list)
    """What the monitor could not find out just now, and why; the figures are then those of before."""
    views: list[ViewState] = Field(default_factory=list)
    canaries: list[CanaryState] = Field(default_factory=list)
    dead_letters: list[LetterCount] = Field(default_factory=list)
    outcomes: dict[str, float] | None = None
    """Events a second by outcome on the live lane, over 5 minutes; None without Prometheus."""
    history: list[Sample] = Field(default_factory=list)
    """Oldest first, some hours, at most 500."""
