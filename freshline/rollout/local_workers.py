"""The workers that a rollout starts by itself: on the local stack, where there is nobody else to do it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from freshline.settings import Settings
from infra.local.errors import StackError
from infra.local.processes import Process, spawn, stop_all
from infra.local.stack import LocalStack

LANES = ("live", "retry")
STOP_SECONDS = 60


@dataclass(frozen=True)
class LocalWorkers:
    """One view's, each a process of its own that outlives the command; remembered in a file beside their logs."""

    folder: Path
    view: str

    def start(self, bundle: Path) -> dict[str, Process]:
        """Start those that don't run; all of them, by lane."""
        self.folder.mkdir(parents=True, exist_ok=True)
        running = {lane: process for lane, process in self._known().items() if process.alive}
        own = {"FRESHLINE_VIEW": self.view, "FRESHLINE_BUNDLE": str(bundle.absolute()), "FRESHLINE_METRICS_PORT": "0"}
        for lane in LANES:
            if lane not in running:
                command = [sys.executable, "-m", "freshline", "worker", "--lane", lane]
                running[lane] = spawn(command, cwd=Path.cwd(), env=os.environ | own, log=self.log(lane))
                self._file.write_text(json.dumps({name: asdict(process) for name, process in running.items()}))
        return running

    def stop(self) -> None:
        """Let those that run finish what is in flight, and end."""
        stop_all([process for process in self._known().values() if process.alive], grace=STOP_SECONDS)
        self._file.unlink(missing_ok=True)

    def log(self, lane: str) -> Path:
        """Where a worker writes."""
        return self.folder / f"{self.view}.{lane}.log"

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.view}.json"

    def _known(self) -> dict[str, Process]:
        try:
            return {lane: Process(**process) for lane, process in json.loads(self._file.read_text()).items()}
        except FileNotFoundError:
            return {}


def local_workers(settings: Settings, stack: Path, view: str) -> LocalWorkers | None:
    """The view's workers on the local stack in this folder; None if that is not what the settings name."""
    try:
        env = LocalStack(stack).env()
    except StackError:
        return None
    here = (env["FRESHLINE_KAFKA_BROKERS"], env["FRESHLINE_QDRANT_URL"])
    if here != (settings.kafka_brokers, settings.qdrant_url):
        return None
    return LocalWorkers(stack.absolute() / "rollout", view)
