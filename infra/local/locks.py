"""One process at a time, by a lock file that the kernel releases when its holder ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`, waiting for whoever holds it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # The holder before us may have deleted the folder: its file is then no longer the one that others lock.
            if path.exists() and path.samefile(f"/proc/self/fd/{file.fileno()}"):
                yield
                return
