"""Starting one part, and waiting until it answers."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.errors import StackError
from infra.local.parts import Part
from infra.local.ports import check_port
from infra.local.processes import Process, spawn
from infra.local.state import State

START_SECONDS = 60
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def launch(part: Part, state: State) -> None:
    """Start a part and record its process; StackError when another program has one of its ports."""
    for port_name in part.port_names:
        check_port(port_name, part.ports[port_name])
    part.folder.mkdir(exist_ok=True)
    part.prepare()
    with _uninterrupted():
        _spawn(part, state)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let signals wait, so that none comes between a start and its record; they reach the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    # Handlers, not a mask: what is started would inherit a mask.
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for late in came:
            signal.raise_signal(late)


def _spawn(part: Part, state: State) -> None:
    state.processes[part.name] = spawn(part.command(), cwd=part.folder, env=part.environment(), log=part.log)
    state.save()


def await_ready(part: Part, process: Process) -> None:
    """Return when the part answers; StackError with the end of its log when it ends, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not (part.ready() and process.alive):
        if process.wait(0.1):
            raise StackError(f"{part.name} ended while starting; {_tail(part.log)}")
        if time.monotonic() > deadline:
            raise StackError(f"{part.name} did not answer within {START_SECONDS} s; {_tail(part.log)}")


def _tail(log: Path, count: int = 15) -> str:
    """The end of a log without stack traces, under a line that names it."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if not line.lstrip().startswith("at ")]
    return "\n".join([f"the end of {log}:", *lines[-count:]])
