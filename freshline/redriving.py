"""Redriving dead letters: which are sent, which are not and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from freshline.settings import Settings
from stream.letterbox import Filed, Letterbox
from stream.redrive import Redrivable, Redriver
from stream.resend import Resender

NAMED = 20
"""Refused letters that are named each; the rest are counted."""


@dataclass
class RedriveReport:
    """What a run did, or would do."""

    dry_run: bool
    sent: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Of those sent, by reason."""
    passed_over: int = 0
    """Redriven before."""
    refused: int = 0
    refusals: list[tuple[str, str]] = field(default_factory=list)
    """(key, why) of the first ones."""

    def figures(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        examples = [{"key": key, "why": why} for key, why in self.refusals]
        return {
            "dry_run": self.dry_run,
            "sent": self.sent,
            "counts": dict(self.counts.most_common()),
            "passed_over": self.passed_over,
            "refused": {"count": self.refused, "examples": examples},
        }


def redrive_all(
    settings: Settings, box: Letterbox, letters: Iterable[Filed], *, again: bool, dry_run: bool
) -> RedriveReport:
    """Send what may be sent.

    Raises:
        PublishError, LetterboxError: Kafka did not take it all; run it again.
    """
    report = RedriveReport(dry_run)
    rules = Redrivable(settings.topics, settings.tombstone_retention)
    chosen = chosen_letters(letters, rules, report, again=again)
    if dry_run:
        report.sent = sum(1 for _ in chosen)
        return report
    with Resender(settings.kafka(), settings.topics) as resender:
        for sent in Redriver(box, resender).redrive(chosen):
            report.sent += sent
    return report


def chosen_letters(
    letters: Iterable[Filed], rules: Redrivable, report: RedriveReport, *, again: bool
) -> Iterator[Filed]:
    """Those that may be sent; the report is told of the others."""
    now = datetime.now(UTC)
    for entry in letters:
        if entry.letter.redriven_at is not None and not again:
            report.passed_over += 1
        elif why := rules.refusal(entry.letter, now):
            report.refused += 1
            report.refusals += [(entry.key.decode(errors="replace"), why)] if len(report.refusals) < NAMED else []
        else:
            report.counts[entry.letter.reason.value] += 1
            yield entry
