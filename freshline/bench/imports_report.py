"""What the benchmark of imports found, as figures and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from rich.console import Group, RenderableType

from freshline.bench.hosts_report import Freshness


class Look(NamedTuple):
    """One look at the live lane."""

    at: float
    """Seconds from the beginning."""
    waits: float
    """Seconds that its oldest event was seen to wait."""
    lag: int
    """Events."""


@dataclass(frozen=True)
class ImportReport:
    """One run of `freshline bench import`."""

    machine: str
    rows: int
    per_second: float
    """Live products."""
    replay: bool
    """What went on beside them was a replay of the import."""
    live: Freshness
    looks: Sequence[Look]
    complete_seconds: float | None
    """From the beginning until every row was in the view; None: not within an hour."""
    missing_after_rebuild: int | None
    """Products that a view lacked that was built from the topic afterwards; None: none was built."""

    @property
    def growing_seconds(self) -> float:
        """The longest time for which the live lane's lag never went down, and was more at its end."""
        return longest_growth([(look.at, look.lag) for look in self.looks])

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        whole = {name: value for name, value in asdict(self).items() if name != "looks"}
        return whole | {"growing_seconds": self.growing_seconds, "longest_wait_seconds": self._longest_wait()}

    def table(self) -> RenderableType:
        """All of it, for a person."""
        live = self.live
        done = "not within an hour" if self.complete_seconds is None else f"after {self.complete_seconds:,.0f} s"
        beside = "a replay (--all --force) of" if self.replay else "an import of"
        missing = self.missing_after_rebuild
        rebuilt = [] if missing is None else [f"a view built from the topic afterwards lacked {missing:,} products"]
        return Group(
            f"{self.machine}, one live and one replay worker",
            f"{live.products:,} live products at {self.per_second:g} a second, beside {beside} {self.rows:,} rows",
            "",
            f"live: p50 {live.p50:.2f} s, p99 {live.p99:.2f} s, slowest {live.slowest:.2f} s",
            f"the live lane's lag grew for {self.growing_seconds:.1f} s at most; "
            f"its oldest event waited {self._longest_wait():.1f} s at most",
            f"it was complete {done}",
            *rebuilt,
        )

    def _longest_wait(self) -> float:
        return max((look.waits for look in self.looks), default=0.0)


def longest_growth(samples: Sequence[tuple[float, float]]) -> float:
    """The longest stretch of time in which a value never fell and ended higher than it began."""
    longest, start = 0.0, 0
    for index, (at, value) in enumerate(samples):
        if index and value < samples[index - 1][1]:
            start = index
        if value > samples[start][1]:
            longest = max(longest, at - samples[start][0])
    return longest
