from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas.dead_letters import DeadLetter, Reason
from stream.monitor.letters import UNREADABLE, LetterCounts
from stream.monitor.state import LetterCount

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def letter(offset: int, reason: Reason, *, hours: float = 1, redriven: bool = False) -> tuple[bytes, bytes]:
    made = DeadLetter(
        view="products-0123456789ab-1",
        topic="catalog.events",
        partition=0,
        offset=offset,
        timestamp_ms=0,
        key=b"p",
        value=None,
        headers=[],
        product_id="p",
        reason=reason,
        message="",
        stage="fetch",
        attempts=1,
        worker_version="0",
        time=NOW - timedelta(hours=hours),
        redriven_at=NOW if redriven else None,
    )
    return made.record_key, made.model_dump_json().encode()


def counts(box: LetterCounts) -> list[LetterCount]:
    return box.counts(NOW.timestamp())


def test_letters_are_counted_by_reason_as_they_stand() -> None:
    box = LetterCounts()
    for entry in (
        letter(1, Reason.IMAGE_MISSING),
        letter(2, Reason.IMAGE_MISSING, hours=30),
        letter(3, Reason.IMAGE_MISSING, redriven=True),
        letter(4, Reason.INTERNAL),
    ):
        box.take(*entry)

    assert counts(box) == [
        LetterCount(reason="image_missing", recent=2, waiting=2),
        LetterCount(reason="internal", recent=1, waiting=1),
    ]


def test_the_newest_record_of_a_letter_counts_and_twice_is_once() -> None:
    box = LetterCounts()
    box.take(*letter(1, Reason.IMAGE_MISSING))
    box.take(*letter(1, Reason.IMAGE_MISSING, redriven=True))
    box.take(*letter(2, Reason.INTERNAL))
    box.take(*letter(2, Reason.INTERNAL))
    assert [count.waiting for count in counts(box)] == [1, 0]

    box.take(letter(2, Reason.INTERNAL)[0], None)
    assert [count.reason for count in counts(box)] == ["image_missing"]


def test_what_is_no_letter_is_counted_as_such() -> None:
    box = LetterCounts()
    box.take(b"x", b"{}")

    assert [(count.reason, count.waiting) for count in counts(box)] == [(UNREADABLE, 1)]


def test_no_more_letters_are_told_apart_than_there_is_room_for() -> None:
    box = LetterCounts(most=10)
    for offset in range(25):
        box.take(*letter(offset, Reason.INTERNAL))

    assert [count.waiting for count in counts(box)] == [10]
    assert box.dropped == 15
