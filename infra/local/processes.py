"""Processes that outlive the command that started them: started, recognised, awaited and stopped.

Linux only: a process is recognised by its start time in /proc and awaited through a pidfd.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

# Popen objects of what this very process started, kept so that it reaps them.
_children: dict[int, "subprocess.Popen[bytes]"] = {}


@dataclass(frozen=True)
class Process:
    """A process; `started` tells it apart from a later one that was given the same pid, across reboots too."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        if child := _children.get(self.pid):
            child.poll()
        return _look(self.pid) == (self.started, True)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended, `seconds` at most; whether it has ended."""
        return wait_any([self], seconds) is not None and not self.alive

    def send(self, signal_number: int) -> None:
        """Send it a signal, if it still runs."""
        with _pidfd(self) as fd:
            if fd is not None:
                signal.pidfd_send_signal(fd, signal_number)


def spawn(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> Process:
    """Start a process in a session of its own, its output appended to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 (our own command lines)
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    return Process(child.pid, _look(child.pid)[0])


def wait_any(processes: Iterable[Process], seconds: float | None = None) -> Process | None:
    """Wait until one of the processes has ended, `seconds` at most; the one that has, if any."""
    poll, by_descriptor = select.poll(), {}
    with ExitStack() as descriptors:
        for process in processes:
            fd = descriptors.enter_context(_pidfd(process))
            if fd is None:
                return process
            poll.register(fd, select.POLLIN)
            by_descriptor[fd] = process
        ended = poll.poll(None if seconds is None else seconds * 1000)
    return by_descriptor[ended[0][0]] if ended else None


def stop_all(processes: Sequence[Process], *, grace: float) -> None:
    """End the processes: SIGTERM to all at once, SIGKILL to those that still run after `grace` seconds."""
    for process in processes:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + grace
    for process in processes:
        if not process.wait(max(0, deadline - time.monotonic())):
            process.send(signal.SIGKILL)
            process.wait(grace)


def _look(pid: int) -> tuple[str, bool]:
    """When the process with this pid started (empty: there is none), and whether it runs rather than being a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", False
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{fields[19]}", fields[0] not in "ZX"


@contextmanager
def _pidfd(process: Process) -> Iterator[int | None]:
    """A handle on the process that no recycled pid can mislead; None when it has ended."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield fd if process.alive else None
    finally:
        os.close(fd)
