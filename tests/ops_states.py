"""What the monitor may know, from all well to nothing at all, for its page to show."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from stream.monitor.state import (
    CanaryState,
    Lane,
    LaneState,
    LetterCount,
    OpsState,
    PartitionState,
    Sample,
    ViewState,
)

SERVING = "products-2f6c1a9e-1"
BUILDING = "products-9d03b7f4-1"
STEPS = {"published": 0.02, "indexed": 1.14, "found": 0.31, "deleted": 0.02, "gone": 0.87}


def fresh() -> OpsState:
    """All well; a replay and a second view are under way."""
    live = lane("live", members=2, lags=[3, 0, 1, 2, 0, 0, 4, 1], oldest=0.8, rates=(112.0, 112.4), catch_up=0.1)
    parked = lane("retry", members=1, lags=[0, 12, 5, 0], oldest=214.0, rates=(0.3, 0.2), catch_up=85.0)
    replay = lane("replay", members=1, lags=[5200, 4800, 6100, 4950], oldest=900.0, rates=(0.0, 88.0), catch_up=239.0)
    behind = lane(
        "live", members=1, lags=[41200 + 900 * part for part in range(8)], oldest=5400.0, rates=(112.0, 410.0)
    )
    return _state(
        history=samples(lambda at: 0.6 + 0.5 * math.sin(at / 7) + (38.0 if 300 < at < 309 else 0.0), rate=110.0),
        views=[
            view(SERVING, [live, parked, replay], points=48_212),
            view(BUILDING, [behind.model_copy(update={"catch_up_seconds": 1184.0})], points=12_904, serving=False),
        ],
        canaries=[CanaryState(view=SERVING, last_success_ms=_now() - 21_000, steps=STEPS)],
        dead_letters=[
            LetterCount(reason="image_missing", recent=14, waiting=31),
            LetterCount(reason="invalid_event", recent=2, waiting=2),
            LetterCount(reason="image_corrupt", recent=1, waiting=0),
        ],
        outcomes={
            "indexed": 61.2,
            "payload_only": 44.1,
            "superseded": 5.3,
            "deleted": 1.6,
            "parked": 0.04,
            "stale": 0.0,
        },
    )


def late() -> OpsState:
    """Twelve minutes behind, and catching up."""
    live = lane(
        "live", members=1, lags=[7200, 5400, 9100, 0, 4400, 8800], oldest=720.0, rates=(140.0, 212.0), catch_up=485.0
    )
    return _state(
        history=samples(lambda at: max(0.7, (at - 380) * 6.0), rate=140.0),
        views=[view(SERVING, [live, lane("retry", members=1, lags=[0, 0])])],
        canaries=[
            CanaryState(
                view=SERVING,
                last_success_ms=_now() - 740_000,
                steps={"published": 0.03},
                failed_step="indexed",
                message="the product was not readable within 60 s",
            )
        ],
        dead_letters=[LetterCount(reason="image_unavailable", recent=3, waiting=3)],
        outcomes={"indexed": 208.0, "payload_only": 4.0},
    )


def burning() -> OpsState:
    """Past the hour, and nobody works."""
    live = lane(
        "live", members=0, lags=[310_000, 298_000, 305_500, 1_280_000], oldest=4321.0, rates=(150.0, 0.0), catch_up=None
    )
    parked = lane("retry", members=0, lags=[40, 2], oldest=2000.0, rates=(0.1, 0.0), catch_up=None)
    return _state(
        history=samples(lambda at: max(0.9, (at - 60) * 10.0), rate=150.0, asked=False, worked=False),
        views=[view(SERVING, [live, parked])],
        canaries=[CanaryState(view=SERVING, failed_step="published", message="Kafka did not acknowledge within 10 s")],
    )


def blind() -> OpsState:
    """The monitor looked ten minutes ago for the last time, and not everywhere."""
    old = fresh()
    shift = 600_000
    history = [sample.model_copy(update={"at_ms": sample.at_ms - shift}) for sample in old.history]
    problem = "Kafka: no broker answers at kafka-1:9092 within 10 s"
    return old.model_copy(update={"at_ms": old.at_ms - shift, "history": history, "problems": [problem]})


def stopped() -> OpsState:
    """Nothing waits, but nobody would work."""
    return _state(views=[view(SERVING, [lane("live", members=0, lags=[0, 0], rates=(0.0, 0.0))])])


def failing() -> OpsState:
    """No lag, and yet the canary is not found."""
    canary = CanaryState(
        view=SERVING, steps={"published": 0.1, "indexed": 1.0}, failed_step="found", message="503 from Qdrant"
    )
    return _state(views=[view(SERVING, [lane("live", members=1, lags=[0])])], canaries=[canary])


def unsure() -> OpsState:
    """No lag, and something could not be found out."""
    return _state(
        views=[view(SERVING, [lane("live", members=1, lags=[0])], points=None)], problems=["Qdrant: timed out"]
    )


def empty() -> OpsState:
    """A monitor that has just been started beside nothing."""
    return OpsState(at_ms=_now(), version="0.1.0", goal_seconds=10.0)


def huge() -> OpsState:
    """Three views of three lanes of 64 partitions, long names, large figures, one of each outcome and reason."""
    lags = [0 if part % 5 == 0 else (part * 7919) % 900_000 for part in range(64)]
    names: list[Lane] = ["live", "retry", "replay"]
    lanes = [
        lane(name, members=64, lags=lags, oldest=200_000.0, rates=(12_345.6, 9_876.5), catch_up=None) for name in names
    ]
    lanes[0] = lanes[0].model_copy(
        update={"partitions": [p.model_copy(update={"committed_offset": None}) for p in lanes[0].partitions]}
    )
    hostile = "<script>document.title='owned'</script>" + "x" * 200
    return _state(
        history=samples(lambda at: 200_000.0 - (500 - at) * 15, rate=12_345.6, count=500, every=30),
        views=[view(f"{name}-{hostile}", lanes, points=2_147_483_647, serving=name == "a") for name in "abc"],
        canaries=[
            CanaryState(
                view=f"a-{hostile}",
                steps={f"step_{n}_{'y' * 60}": 1.0 * n for n in range(9)},
                failed_step="<b>",
                message="z" * 2000,
            )
        ],
        dead_letters=[
            LetterCount(reason=f"reason_{n}_<img src=x onerror=alert(1)>", recent=n * 99_999, waiting=n * 123_456)
            for n in range(15)
        ],
        outcomes={f"outcome_{n}": 10.0**n for n in range(9)},
        problems=[f"part {n}: " + "w" * 300 for n in range(12)],
    )


def lane(
    name: Lane,
    *,
    members: int,
    lags: list[int],
    oldest: float = 0.0,
    rates: tuple[float, float] = (0.0, 0.0),
    catch_up: float | None = 0.0,
) -> LaneState:
    """A lane with a partition for each of `lags`; the first that has the most waits longest."""
    most = max(lags)
    return LaneState(
        lane=name,
        group=f"freshline-{name}",
        members=members,
        lag_events=sum(lags),
        oldest_pending_seconds=oldest,
        arrival_rate=rates[0],
        work_rate=rates[1],
        catch_up_seconds=catch_up,
        partitions=[
            PartitionState(
                partition=number,
                begin_offset=0,
                end_offset=1_000_000 + lag,
                committed_offset=1_000_000,
                lag_events=lag,
                oldest_pending_seconds=oldest * lag / most if most else 0.0,
            )
            for number, lag in enumerate(lags)
        ],
    )


def view(name: str, lanes: list[LaneState], *, points: int | None = 48_000, serving: bool = True) -> ViewState:
    return ViewState(name=name, serving=serving, space=name.split("-")[1][:40], points=points, lanes=lanes)


def samples(
    oldest: Callable[[int], float],
    *,
    rate: float,
    count: int = 480,
    every: int = 30,
    asked: bool = True,
    worked: bool = True,
) -> list[Sample]:
    """`count` of them, `every` so many seconds, to this moment."""
    return [
        Sample(
            at_ms=_now() - (count - 1 - at) * every * 1000,
            oldest_pending_seconds=oldest(at),
            lag_events=int(oldest(at) * rate),
            arrival_rate=rate + 30 * math.sin(at / 40) + 6 * math.sin(at / 3),
            work_rate=rate + 30 * math.sin((at - 2) / 40) + 9 * math.sin(at / 4) if worked or at < 60 else 0.0,
            freshness_p50=1.2 + 0.2 * math.sin(at / 9) if asked else None,
            freshness_p99=3.4 + math.sin(at / 13) + oldest(at) / 30 if asked else None,
        )
        for at in range(count)
    ]


def _state(
    *,
    views: list[ViewState],
    history: list[Sample] | None = None,
    canaries: list[CanaryState] | None = None,
    dead_letters: list[LetterCount] | None = None,
    outcomes: dict[str, float] | None = None,
    problems: list[str] | None = None,
) -> OpsState:
    return OpsState(
        at_ms=_now(),
        version="0.1.0",
        goal_seconds=10.0,
        problems=problems or [],
        views=views,
        canaries=canaries or [],
        dead_letters=dead_letters or [],
        outcomes=outcomes,
        history=history or [],
    )


def _now() -> int:
    return int(time.time() * 1000)
