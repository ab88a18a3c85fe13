"""What is said again and again is said a few times a minute, and then counted."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, NamedTuple

_FIGURES = re.compile(r"\d+")


class Kind(NamedTuple):
    """What makes two lines the same: nothing that varies."""

    logger: str
    level: int
    text: str
    cause: str = ""
    """The exception's type, or the reason that a dead letter has: rare ones must not drown among others."""


class Hidden(NamedTuple):
    """Lines that were not shown."""

    kind: Kind
    lines: int
    seconds: float
    """From the first line of the kind to now."""


class Repeats:
    """Counts lines by kind; every one is either shown or in a `Hidden`. Bounded, and not thread-safe.

    Args:
        shown: lines of a kind that are shown in a window.
        seconds: of a window, which begins with the first line of its kind.
        kinds: remembered at once; beyond that the oldest window ends early.
    """

    def __init__(
        self, shown: int = 5, seconds: float = 60.0, kinds: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        """Of a window."""
        self._shown = shown
        self._kinds = kinds
        self._clock = clock
        self._windows: OrderedDict[Kind, tuple[float, int]] = OrderedDict()  # (begin, lines), the oldest first

    def shows(self, kind: Kind) -> bool:
        """Count a line: whether it is to be shown. Ask for `over` before."""
        begin, lines = self._windows.get(kind) or (self._clock(), 0)
        self._windows[kind] = (begin, lines + 1)
        return lines < self._shown

    def over(self, *, all_of_them: bool = False) -> list[Hidden]:
        """What was hidden in the windows that are over, or must make room for another; each is told once."""
        ended, now = [], self._clock()
        while self._windows and (all_of_them or self._oldest_is_over(now)):
            kind, (begin, lines) = self._windows.popitem(last=False)
            if lines > self._shown:
                ended.append(Hidden(kind, lines - self._shown, now - begin))
        return ended

    @property
    def hides(self) -> bool:
        """Whether there is something to be told later."""
        return any(lines > self._shown for _, lines in self._windows.values())

    def _oldest_is_over(self, now: float) -> bool:
        begin, _ = next(iter(self._windows.values()))
        return now - begin >= self.seconds or len(self._windows) >= self._kinds


class SummarisingHandler(logging.StreamHandler[Any]):
    """Writes lines to a stream; of warnings and errors of one kind only the first few of each minute, then how many.

    What is critical, and what is logged of a followed product, is always shown.
    """

    def __init__(self, stream: IO[str] | None = None, repeats: Repeats | None = None) -> None:
        super().__init__(stream)
        self._repeats = repeats or Repeats()
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it. The caller holds the handler's lock."""
        if not logging.WARNING <= record.levelno <= logging.ERROR or _is_followed(record):
            super().emit(record)
            return
        self._tell()
        if self._repeats.shows(kind_of(record)):
            super().emit(record)
        elif self._timer is None:
            self._tell_later()

    def close(self) -> None:
        """Tell what was not told yet; the interpreter calls this at its end."""
        with self.lock:  # type: ignore[union-attr]
            self._tell(all_of_them=True)
            if self._timer is not None:
                self._timer.cancel()
        super().close()

    def _on_time(self) -> None:
        with self.lock:  # type: ignore[union-attr]
            self._timer = None
            self._tell()
            if self._repeats.hides:
                self._tell_later()

    def _tell_later(self) -> None:
        self._timer = threading.Timer(self._repeats.seconds, self._on_time)
        self._timer.daemon = True
        self._timer.start()

    def _tell(self, *, all_of_them: bool = False) -> None:
        for hidden in self._repeats.over(all_of_them=all_of_them):
            super().emit(self._line(hidden))

    def _line(self, hidden: Hidden) -> logging.LogRecord:
        kind, lines, seconds = hidden
        text = f"{kind.text} … and {lines:,} more like this in the last {seconds:.0f} s"
        extra = {"more": lines} | ({"cause": kind.cause} if kind.cause else {})
        return logging.getLogger(kind.logger).makeRecord(kind.logger, kind.level, "", 0, text, (), None, extra=extra)


def kind_of(record: logging.LogRecord) -> Kind:
    """Of a record of structlog's, whose message is a dictionary, or of any other library."""
    fields = record.msg if isinstance(record.msg, dict) else {"event": record.msg, "exc_info": record.exc_info}
    text = _FIGURES.sub("#", str(fields.get("event", ""))[:200])
    error = _error_type(fields.get("exc_info"))
    return Kind(record.name, record.levelno, text, error or str(fields.get("reason", "")))


def _is_followed(record: logging.LogRecord) -> bool:
    return isinstance(record.msg, dict) and bool(record.msg.get("followed"))


def _error_type(exc_info: object) -> str:
    error = sys.exc_info()[0] if exc_info is True else exc_info
    if isinstance(error, tuple):
        error = error[0]
    if isinstance(error, BaseException):
        error = type(error)
    return error.__name__ if isinstance(error, type) else ""
