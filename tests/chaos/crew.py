"""Several workers on one installation, that are killed and replaced."""

from __future__ import annotations

import random
from typing import Self

from tests.harness import Installation, WorkerProcess, eventually


class Crew:
    """So many live workers for as long as the context lasts; what still runs at its end is killed."""

    def __init__(self, shop: Installation, size: int) -> None:
        self._shop = shop
        self._size = size
        self._workers: list[WorkerProcess] = []
        self.settled: list[int] = []
        """Events that each of the killed had settled."""

    def kill(self, worker: WorkerProcess) -> None:
        """SIGKILL; another takes its place."""
        self.settled.append(settled(worker))
        worker.kill()
        self._workers.remove(worker)
        self._start()

    def any(self, chance: random.Random) -> WorkerProcess:
        """One of them, whatever it is doing."""
        return chance.choice(self._workers)

    def at_work(self, events: int) -> WorkerProcess:
        """One of them, as soon as it has settled so many events."""

        def found() -> WorkerProcess | None:
            return next((worker for worker in self._workers if settled(worker) >= events), None)

        worker: WorkerProcess = eventually(found, what=f"a worker with {events} events settled")
        return worker

    def stop(self) -> None:
        """End all of them in good order."""
        for worker in self._workers:
            eventually(worker.ready, what="a worker that can be stopped")
            assert worker.stop() == 0, worker.log.read_text()

    def _start(self) -> None:
        self._workers.append(WorkerProcess(self._shop, "live", {}))

    def __enter__(self) -> Self:
        for _ in range(self._size):
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()


def settled(worker: WorkerProcess) -> int:
    """Events that a worker has settled."""
    return round(worker.metric("freshline_events_total"))
