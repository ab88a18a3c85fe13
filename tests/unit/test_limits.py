from __future__ import annotations

import pytest

from schemas.dead_letters import Reason
from stream.limits import DeadLetterLimit, LimitSettings, TooManyDeadLetters


def test_a_run_of_dead_letters_has_a_limit() -> None:
    limit = DeadLetterLimit(LimitSettings(run=3))
    for _ in range(3):
        limit.failed(Reason.INTERNAL)

    with pytest.raises(TooManyDeadLetters, match="3 dead letters one after another, the last: invalid_json"):
        limit.failed(Reason.INVALID_JSON)


def test_a_record_that_gets_through_ends_a_run() -> None:
    limit = DeadLetterLimit(LimitSettings(run=3))
    for _ in range(100):
        for _ in range(3):
            limit.failed(Reason.INTERNAL)
        limit.passed()


def test_the_share_of_dead_letters_has_a_limit_once_there_is_a_window_of_records() -> None:
    limit = DeadLetterLimit(LimitSettings(run=100, share=0.5, window=10))
    for _ in range(5):
        limit.failed(Reason.INVALID_EVENT)
        limit.passed()

    with pytest.raises(TooManyDeadLetters, match="5 dead letters of the latest 10 records"):
        limit.failed(Reason.INVALID_EVENT)


def test_old_dead_letters_are_forgotten() -> None:
    limit = DeadLetterLimit(LimitSettings(run=100, share=0.5, window=10))
    for _ in range(5):
        limit.failed(Reason.INVALID_EVENT)
    for _ in range(10):
        limit.passed()
    for _ in range(5):
        limit.failed(Reason.INVALID_EVENT)

    with pytest.raises(TooManyDeadLetters):
        limit.failed(Reason.INVALID_EVENT)


@pytest.mark.parametrize("reason", [Reason.IMAGE_MISSING, Reason.IMAGE_UNAVAILABLE, Reason.OUT_OF_ORDER])
def test_what_is_nobodys_fault_here_has_none(reason: Reason) -> None:
    limit = DeadLetterLimit(LimitSettings(run=1, share=0.1, window=2))
    for _ in range(100):
        limit.failed(reason)
