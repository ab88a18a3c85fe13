"""What a benchmark of the pipeline found, as figures, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from freshline.bench.alone import Costs


@dataclass(frozen=True)
class Rate:
    """How fast events of one kind went through, and how fast their stages would let them."""

    events: int
    per_second: float
    stage_seconds: Costs
    """Stage to seconds of processor time for one event, each stage alone."""
    cores: int
    busy_cores: float
    """Of the workers and the servers, while it was measured."""

    @property
    def allowed_per_second(self) -> float:
        """What the stages' times allow, were all cores to do nothing else."""
        return self.cores / sum(self.stage_seconds.values())

    @property
    def efficiency(self) -> float:
        """Measured rate / allowed rate."""
        return self.per_second / self.allowed_per_second


@dataclass(frozen=True)
class Memory:
    """What the workers occupied, in bytes."""

    warm: float
    """The median after the warm-up, over as many events again."""
    end: float
    """The median at the end."""
    peak: float
    events: int
    """Between the two."""

    @property
    def growth(self) -> float:
        """From `warm` to `end`, as a share of `warm`."""
        return self.end / self.warm - 1


@dataclass(frozen=True)
class PipelineReport:
    """One run of `freshline bench pipeline`."""

    machine: str
    bundle: str
    workers: int
    pictures: Rate
    payloads: Rate
    encoder_per_second: float
    """Pictures through the encoder alone, the same ones in the same batches, on all cores."""
    upserts_per_second: float
    """Points overwritten by the client's own upsert, in batches of 256."""
    memory: Memory

    @property
    def payload_ratio(self) -> float:
        """Events without a new picture / plain upserts."""
        return self.payloads.per_second / self.upserts_per_second

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        own = {"payload_ratio": self.payload_ratio, "memory_growth": self.memory.growth}
        rates = {
            kind: {"allowed_per_second": rate.allowed_per_second, "efficiency": rate.efficiency}
            for kind, rate in self._rates().items()
        }
        figures = asdict(self) | own
        for kind, derived in rates.items():
            figures[kind] |= derived
        return figures

    def table(self) -> RenderableType:
        """All of it, for a person."""
        return Group(
            f"{self.machine}, {self.workers} worker(s); {self.bundle}", "", self._results(), "", self._stages()
        )

    def _rates(self) -> Mapping[str, Rate]:
        return {"pictures": self.pictures, "payloads": self.payloads}

    def _results(self) -> Table:
        table = Table("", "", "", box=None, pad_edge=False, show_header=False)
        rows = (
            ("events with a new picture", f"{self.pictures.per_second:,.0f} /s", _beside(self.pictures)),
            ("the encoder alone", f"{self.encoder_per_second:,.0f} /s", "the same pictures and batches"),
            ("events without one", f"{self.payloads.per_second:,.0f} /s", _beside(self.payloads)),
            (
                "plain upserts",
                f"{self.upserts_per_second:,.0f} /s",
                f"{self.payload_ratio:.2f} events for each",
            ),
            ("memory", f"{self.memory.end / 1e6:,.0f} MB", self._memory()),
        )
        for row in rows:
            table.add_row(*row)
        return table

    def _memory(self) -> str:
        return f"peak {self.memory.peak / 1e6:,.0f} MB, {self.memory.growth:+.1%} over {self.memory.events:,} events"

    def _stages(self) -> Table:
        table = Table("processor time an event, ms", "new picture", "without", box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for stage, seconds in self.pictures.stage_seconds.items():
            table.add_row(stage, _milliseconds(seconds), _milliseconds(self.payloads.stage_seconds.get(stage)))
        sums = [_milliseconds(sum(rate.stage_seconds.values())) for rate in self._rates().values()]
        table.add_row("all stages", *sums, style="bold")
        return table


def _beside(rate: Rate) -> str:
    return f"efficiency {rate.efficiency:.2f} (the stages allow {rate.allowed_per_second:,.0f} /s)"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.3f}"


def plot(report: PipelineReport, file: Path) -> None:
    """Where the time of an event goes, as a picture (SVG, PNG, … by the file's ending).

    Raises:
        OSError, ValueError: it can't be written, or is of no known kind.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 (slow to load, and most runs draw nothing)

    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = figure.subplots()
    bars = {"new picture": report.pictures, "without": report.payloads}
    starts = dict.fromkeys(bars, 0.0)
    for stage in [*report.pictures.stage_seconds, "joining, waiting"]:
        widths = {name: _share(rate, stage) for name, rate in bars.items()}
        colour = "#d8d8d4" if stage == "joining, waiting" else None
        axes.barh(list(bars), list(widths.values()), left=list(starts.values()), label=stage, color=colour, height=0.6)
        starts = {name: starts[name] + widths[name] for name in bars}
    axes.invert_yaxis()
    axes.set_xlabel(f"ms of {report.pictures.cores} cores for one event")
    axes.set_title("Where the time goes", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(file)


def _share(rate: Rate, stage: str) -> float:
    """Milliseconds of all cores that an event has in a stage; what no stage accounts for is joining and waiting."""
    if stage in rate.stage_seconds:
        return rate.stage_seconds[stage] * 1000
    if stage != "joining, waiting":
        return 0.0
    return max(0.0, rate.cores / rate.per_second - sum(rate.stage_seconds.values())) * 1000
