"""One Ctrl-C ends the demo in good order; those that follow find it ending already."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The user ended it before its end."""


class Interrupts:
    """Takes SIGINT, SIGTERM and SIGHUP until the process ends, so that none of them cuts short what stops processes."""

    def __init__(self) -> None:
        self._ending = False
        self._call: Callable[[], object] | None = None
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._on_signal)

    def ignore(self) -> None:
        """From now on it ends anyhow."""
        self._ending = True

    @contextmanager
    def calling(self, end: Callable[[], object]) -> Iterator[None]:
        """Call `end` at the first signal, instead of raising KeyboardInterrupt; after this, ignore them."""
        self._call = end
        try:
            yield
        finally:
            self.ignore()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._ending:
            return
        self._ending = True
        if self._call is None:
            raise KeyboardInterrupt
        self._call()
