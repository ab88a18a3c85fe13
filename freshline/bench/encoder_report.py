"""What the benchmark of the encoder found, as figures and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from freshline.bench.report import Memory

OURS, PEER = "freshline", "fastembed"
LABELS = {
    OURS: "freshline, as a worker",
    "torch": "PyTorch eager, batches",
    "onnxruntime_batches": "ONNX Runtime, batches",
    "onnxruntime_one_by_one": "ONNX Runtime, one by one",
    PEER: "fastembed, batches",
}


@dataclass(frozen=True)
class EncoderCase:
    """One model; `rates` are pictures a second by way of encoding, one for each round."""

    model: str
    size: int
    dimension: int
    rates: Mapping[str, Sequence[float]]

    def per_second(self, way: str) -> float:
        """The median over the rounds."""
        return median(self.rates[way])

    def ahead(self, way: str) -> float:
        """Our rate over that of `way` in the same round: the median over the rounds."""
        return median(ours / rate for ours, rate in zip(self.rates[OURS], self.rates[way], strict=True))


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
        figures["models"] = [
            {
                "model": case.model,
                "size": case.size,
                "dimension": case.dimension,
                "per_second": {way: case.per_second(way) for way in case.rates},
                "ahead": {way: case.ahead(way) for way in case.rates if way != OURS},
                "rates": {way: list(rates) for way, rates in case.rates.items()},
            }
            for case in self.cases
        ]
        if self.memory is not None:
            figures["memory"] = asdict(self.memory)
            figures["memory_growth"] = self.memory.growth
        return figures

    def table(self) -> RenderableType:
        """All of it, for a person."""
        table = Table("pictures/s, and we to it", box=None, pad_edge=False)
        for case in self.cases:
            table.add_column(f"{case.model}\n{case.size} px, {case.dimension}-d", justify="right")
        ways = [way for way in LABELS if any(way in case.rates for case in self.cases)]
        for way in ways:
            table.add_row(LABELS[way], *(_cell(case, way) for case in self.cases))
        size = f"batches of {self.batch}, medians of {self.rounds} rounds"
        return Group(f"{self.machine}; {size}", "", table, *self._memory())

    def _memory(self) -> Iterator[str]:
        if self.memory is not None:
            end, peak = self.memory.end / 1e6, self.memory.peak / 1e6
            yield ""
            yield (
                f"memory of a process that encodes: {end:,.0f} MB, peak {peak:,.0f} MB, "
                f"{self.memory.growth:+.1%} over {self.memory.events:,} pictures"
            )


def _cell(case: EncoderCase, way: str) -> str:
    if way not in case.rates:
        return ""
    return f"{case.per_second(way):,.0f}" + (f" {case.ahead(way):5.2f}x" if way != OURS else "       ")
