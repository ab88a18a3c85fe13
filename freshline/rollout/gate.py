"""Whether a view may be switched to: pure judgements on what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freshline.rollout.comparison import Compared
from freshline.rollout.progress import ViewProgress


@dataclass(frozen=True)
class Limits:
    """What a new view must hold against the serving one."""

    margin: float = 0.01
    """By so much Recall@10 and MRR may be lower."""
    overlap: float = 0.0
    """Least mean share of the first ten products that both find."""
    p99_ms: float = 200.0
    """Of a search, alone on this machine."""
    missing: float = 0.001
    """The share of the serving view's products that the new one may lack."""


@dataclass(frozen=True)
class Check:
    """One condition."""

    name: str
    ok: bool
    said: str


def judge_quality(compared: Compared, limits: Limits) -> list[Check]:
    """Whether it finds what it should, in time."""
    difference = compared.quality.difference
    checks = [
        Check(
            name,
            estimate.value >= -limits.margin,
            f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f}), {-limits.margin:+g} is allowed",
        )
        for name, estimate in (("Recall@10", difference.recall_at_10), ("MRR", difference.mrr))
    ]
    overlap, p99 = compared.overlap, compared.building.p99_ms
    return [
        *checks,
        Check("overlap", overlap >= limits.overlap, f"{overlap:.2f} of the first ten are the same"),
        Check("latency", p99 <= limits.p99_ms, f"p99 {p99:.0f} ms, {limits.p99_ms:g} ms is allowed"),
    ]


def judge_freshness(building: ViewProgress, serving: ViewProgress, goal_seconds: float, limits: Limits) -> list[Check]:
    """Whether it holds all that the serving view holds, and keeps up."""
    live = building.lane("live")
    least = serving.products * (1 - limits.missing) - (live.lag_events if live else 0)  # what just came is on its way
    return [
        *(_lane(name, building, serving, goal_seconds) for name in ("live", "retry")),
        Check(
            "products", building.products >= least, f"{building.products:,}; {serving.name} has {serving.products:,}"
        ),
    ]


def judge_way_back(previous: ViewProgress, goal_seconds: float) -> list[Check]:
    """Whether the view from before was fed all the time."""
    return [_lane("live", previous, previous, goal_seconds)]


def failures(checks: Sequence[Check]) -> list[str]:
    """What keeps it from being switched to."""
    return [f"{check.name}: {check.said}" for check in checks if not check.ok]


def _lane(name: str, view: ViewProgress, serving: ViewProgress, goal_seconds: float) -> Check:
    """Pending for no longer than the goal allows, or than in the serving view: a host may be ill for both."""
    lane, other = view.lane(name), serving.lane(name)
    if lane is None:
        return Check(f"{name} lane", ok=False, said="nothing is known of it")
    waits = lane.oldest_pending_seconds
    allowed = max(goal_seconds, other.oldest_pending_seconds if other and name == "retry" else 0)
    said = f"the oldest waits for {waits:.0f} s, {allowed:.0f} s is allowed; {lane.members} worker(s)"
    return Check(f"{name} lane", waits <= allowed and lane.members > 0, said)
