from __future__ import annotations

import io
import logging
import sys
import threading

from hypothesis import given
from hypothesis import strategies as st

from freshline.log_repeats import Kind, Repeats, SummarisingHandler, kind_of

SHOWN, SECONDS, KINDS = 3, 60.0, 4


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 100)), max_size=200))
def test_every_line_is_shown_or_counted_and_none_twice(lines: list[tuple[int, float]]) -> None:
    clock = Clock()
    repeats = Repeats(SHOWN, SECONDS, KINDS, clock)
    emitted, shown, hidden = [0] * 10, [0] * 10, [0] * 10

    for number, pause in [*lines, (None, 0.0)]:
        clock.now += pause
        for each in repeats.over(all_of_them=number is None):
            assert each.lines > 0
            hidden[each.kind.level] += each.lines
        if number is not None:
            emitted[number] += 1
            shown[number] += repeats.shows(Kind("shop", number, "text"))
        assert len(repeats._windows) <= KINDS
        assert repeats.hides == (sum(emitted) > sum(shown) + sum(hidden))

    assert [s + h for s, h in zip(shown, hidden, strict=True)] == emitted


def test_a_window_ends_after_its_seconds_and_the_next_line_is_shown_again() -> None:
    clock, kind = Clock(), Kind("shop", logging.WARNING, "trouble")
    repeats = Repeats(SHOWN, SECONDS, KINDS, clock)

    assert [repeats.shows(kind) for _ in range(5)] == [True, True, True, False, False]
    clock.now = 59.9
    assert repeats.over() == []
    clock.now = 60.0
    assert [(each.kind, each.lines, each.seconds) for each in repeats.over()] == [(kind, 2, 60.0)]
    assert repeats.shows(kind)


def _logger(repeats: Repeats) -> tuple[logging.Logger, io.StringIO]:
    logger, stream = logging.Logger("shop"), io.StringIO()
    logger.addHandler(SummarisingHandler(stream, repeats))
    return logger, stream


def test_threads_lose_no_line() -> None:
    logger, stream = _logger(Repeats(seconds=3600))

    def shout() -> None:
        for number in range(500):
            logger.warning("attempt %d", number)

    threads = [threading.Thread(target=shout) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logger.handlers[0].close()

    *lines, summary = stream.getvalue().splitlines()
    assert len(lines) == 5
    assert summary.startswith("attempt %d … and 1,995 more like this in the last ")


def test_what_was_hidden_is_told_when_the_minute_is_over_although_nothing_more_is_said() -> None:
    told = threading.Event()

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            if "more like this" in text:
                told.set()
            return super().write(text)

    logger = logging.Logger("shop")
    logger.addHandler(SummarisingHandler(Stream(), Repeats(seconds=0.05)))
    for _ in range(6):
        logger.warning("trouble")

    assert told.wait(10)


def test_info_critical_and_followed_lines_are_always_shown() -> None:
    logger, stream = _logger(Repeats())
    for _ in range(9):
        logger.info("all is well")
        logger.critical("the end")
        logger.warning({"event": "dead letter", "followed": True})  # as structlog hands it in

    assert len(stream.getvalue().splitlines()) == 27


def test_a_kind_is_told_by_its_text_without_figures_its_exception_and_its_reason() -> None:
    def kind(message: object, error: BaseException | None = None) -> Kind:
        exc_info = (type(error), error, None) if error else None
        return kind_of(logging.LogRecord("shop", logging.ERROR, "", 0, message, (), exc_info))

    assert kind("node 1 is away") == kind("node 22 is away")
    assert kind("failed", ValueError("a")) == kind("failed", ValueError("b")) != kind("failed", KeyError("a"))
    assert kind({"event": "dead letter", "reason": "internal"}) != kind({"event": "dead letter", "reason": "invalid"})
    assert kind({"event": "failed", "product_id": "a"}) == kind({"event": "failed", "product_id": "b"})


def test_the_exception_at_hand_is_that_of_a_line_that_says_so() -> None:
    try:
        raise KeyError("a")
    except KeyError:
        record = logging.LogRecord("shop", logging.ERROR, "", 0, {"event": "failed", "exc_info": True}, (), None)
        assert sys.exc_info()[0] is KeyError
        assert kind_of(record).cause == "KeyError"
