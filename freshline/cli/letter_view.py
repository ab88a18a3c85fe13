"""Dead letters on a terminal and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from freshline.letters import ADVICE, shown
from freshline.redriving import RedriveReport
from stream.letterbox import Filed


def summary(entry: Filed) -> dict[str, Any]:
    """All but the record itself."""
    return {"key": _text(entry.key), "product_id": entry.letter.product} | entry.letter.model_dump(
        mode="json", exclude={"key", "value", "headers", "product_id"}
    )


def details(entry: Filed) -> dict[str, Any]:
    """With the record, as text where it is some, and what to do about it."""
    letter = entry.letter
    return summary(entry) | {
        "advice": ADVICE.get(letter.reason, ""),
        "record": {
            "key": _maybe_text(letter.key),
            "headers": [[name, _maybe_text(value)] for name, value in letter.headers],
            "value": _maybe_text(letter.value),
        },
    }


def print_list(letters: Sequence[Filed], counts: Counter[str]) -> None:
    """A table of the letters, then how many there are for each reason."""
    console = Console(highlight=False)
    if letters:
        console.print(_table(letters, datetime.now(UTC)))
        console.print()
    console.print(_counts(counts))
    hidden = counts.total() - len(letters)
    console.print(f"{counts.total()} dead letters" + (f", {hidden} not shown (--limit)" if hidden else ""))


def print_letter(entry: Filed, others: Sequence[Filed], total: int) -> None:
    """Everything about one, and the keys of the product's older ones."""
    console = Console(highlight=False, soft_wrap=True)
    for name, value in _facts(entry):
        console.print(Text.assemble((f"{name:<10}", "bold"), " ", shown(value)))
    console.print(Text("value", style="bold"))
    for line in _pretty(entry.letter.value):
        console.print(Text(f"  {shown(line)}"))
    if total > 1:
        console.print(Text(f"{total - 1} older", style="bold"))
    for other in others:
        console.print(Text(f"  {shown(_text(other.key))}  {other.letter.reason.value}"))


def print_redrive(report: RedriveReport) -> None:
    """What was sent, passed over and refused."""
    console = Console(highlight=False, soft_wrap=True)
    if report.counts:
        console.print(_counts(report.counts))
    for key, why in report.refusals:
        console.print(Text(f"refused: {shown(key)}: {why}"))
    sent = "would be sent again" if report.dry_run else "sent again"
    console.print(f"{report.sent} {sent}, {report.passed_over} redriven before, {report.refused} refused")


def is_meant(entry: Filed, name: str) -> bool:
    """Whether a letter has this key, these last two parts of a key, or this product."""
    key = _text(entry.key)
    return name in (key, "/".join(key.split("/")[-2:]), entry.letter.product)


def _facts(entry: Filed) -> Iterator[tuple[str, str]]:
    letter = entry.letter
    yield "letter", _text(entry.key)
    yield "product", letter.product
    yield "reason", letter.reason.value
    yield "message", letter.message
    yield "to do", ADVICE.get(letter.reason, "")
    yield "stage", f"{letter.stage}, {letter.lane} lane, attempt {letter.attempts}, worker {letter.worker_version}"
    yield "given up", letter.time.isoformat()
    yield "redriven", letter.redriven_at.isoformat() if letter.redriven_at else "no"
    yield (
        "record",
        f"{letter.topic}, partition {letter.partition}, offset {letter.offset}, at {_when(letter.timestamp_ms)}",
    )
    yield "key", "null" if letter.key is None else _text(letter.key)
    for name, value in letter.headers:
        yield "header", f"{name}: {'null' if value is None else _text(value)}"


def _pretty(value: bytes | None) -> list[str]:
    if value is None:
        return ["null"]
    try:
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False).splitlines()
    except (ValueError, RecursionError):
        return value.decode(errors="backslashreplace").splitlines() or ["(empty)"]


def _table(letters: Sequence[Filed], now: datetime) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    for name in ("ago", "reason", "letter", "product", "tries", "redriven"):
        table.add_column(name, no_wrap=True, max_width=20 if name == "product" else None)
    table.add_column("message", no_wrap=True, ratio=1)  # what is left of the line
    for entry in letters:
        letter = entry.letter
        cells = (
            _ago(now, letter.time),
            letter.reason.value,
            f"{letter.partition}/{letter.offset}",
            shown(letter.product),
            str(letter.attempts),
            _ago(now, letter.redriven_at) if letter.redriven_at else "",
            shown(letter.message),
        )
        table.add_row(*map(Text, cells))
    return table


def _counts(counts: Counter[str]) -> Table:
    table = Table("reason", "letters", box=None, header_style="bold", pad_edge=False)
    table.columns[1].justify = "right"
    for reason, count in counts.most_common():
        table.add_row(reason, f"{count:,}")
    return table


def _ago(now: datetime, then: datetime) -> str:
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _when(timestamp_ms: int) -> str:
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # whoever sets a record's timestamp can set anything
        return f"{timestamp_ms} ms"


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _maybe_text(value: bytes | None) -> str | None:
    return None if value is None else _text(value)
