"""One Ctrl-C ends what has started processes in good order; those that follow find it ending already."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
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
        if sys.stdout.isatty():
            threading.Thread(target=_hang_up_with, args=(sys.stdout.fileno(),), daemon=True).start()

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


def _hang_up_with(terminal: int) -> None:
    """End when the terminal is closed: that is signalled to its first process alone, which may be a waiting `make`."""
    poll = select.poll()
    poll.register(terminal, 0)  # a hang-up is always told
    poll.poll()
    os.kill(os.getpid(), signal.SIGHUP)
