"""What the benchmark of the encoder found, as figures and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from freshline.bench.meters import Use
from freshline.bench.report import Memory

OURS = "freshline"
PEERS = ("fastembed", "fastembed_plain")
LABELS = {
    OURS: "freshline, as a worker",
    "torch": "PyTorch eager, batches",
    "onnxruntime_batches": "ONNX Runtime, batches",
    "onnxruntime_one_by_one": "ONNX Runtime, one by one",
    PEERS[0]: "fastembed, batches",
    PEERS[1]: "  normalised in the graph",
}


@dataclass(frozen=True)
class EncoderCase:
    """One model; `uses` is the time that all pictures took, by way of encoding, one for each round."""

    model: str
    size: int
    dimension: int
    pictures: int
    uses: Mapping[str, Sequence[Use]]

    def per_second(self, way: str) -> float:
        """Pictures: the median over the rounds."""
        return self.pictures / median(use.wall for use in self.uses[way])

    def ahead(self, way: str) -> float:
        """Our rate over that of `way` in the same round: the median over the rounds."""
        return median(its.wall / ours.wall for ours, its in zip(self.uses[OURS], self.uses[way], strict=True))

    def cpu_ms(self, way: str) -> float:
        """Milliseconds of processor time for a picture: the median over the rounds."""
        return 1000 * median(use.cpu for use in self.uses[way]) / self.pictures


@dataclass(frozen=True)
class EncoderReport:
    """One run of `freshline bench encoder`."""

    machine: str
    batch: int
    rounds: int
    cases: Sequence[EncoderCase]
    memory: Memory | None = None
    """Of a process that encodes on and on; events are pictures."""

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        figures: dict[str, Any] = {"machine": self.machine, "batch": self.batch, "rounds": self.rounds}
        figures["models"] = [_figures(case) for case in self.cases]
        if self.memory is not None:
            figures["memory"] = asdict(self.memory)
            figures["memory_growth"] = self.memory.growth
        return figures

    def table(self) -> RenderableType:
        """All of it, for a person."""
        tables = [each for case in self.cases for each in ("", _table(case))]
        size = f"batches of {self.batch}, medians of {self.rounds} rounds"
        return Group(self.machine, size, *tables, *self._memory())

    def _memory(self) -> Iterator[str]:
        if self.memory is not None:
            end, peak = self.memory.end / 1e6, self.memory.peak / 1e6
            yield ""
            yield (
                f"memory of a process that encodes: {end:,.0f} MB, peak {peak:,.0f} MB, "
                f"{self.memory.growth:+.1%} over {self.memory.events:,} pictures"
            )


def _figures(case: EncoderCase) -> dict[str, Any]:
    return {
        "model": case.model,
        "size": case.size,
        "dimension": case.dimension,
        "per_second": {way: case.per_second(way) for way in case.uses},
        "ahead": {way: case.ahead(way) for way in case.uses if way != OURS},
        "cpu_ms": {way: case.cpu_ms(way) for way in case.uses},
        "seconds": {way: [use.wall for use in uses] for way, uses in case.uses.items()},
    }


def _table(case: EncoderCase) -> Table:
    heading = f"{case.model}, {case.size} px, {case.dimension}-d"
    table = Table(heading, "pictures/s", "we to it", "CPU ms each", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for way, label in LABELS.items():
        if way in case.uses:
            ahead = "" if way == OURS else f"{case.ahead(way):.2f}"
            table.add_row(label, f"{case.per_second(way):,.0f}", ahead, f"{case.cpu_ms(way):.2f}")
    return table
