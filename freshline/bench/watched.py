"""`python -m freshline.bench.watched FILE`: a live worker that writes where the time of each event went, exactly."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import uvloop

from freshline.cli.worker import Lane, run
from freshline.logs import configure
from freshline.settings import Settings


class Records:
    """A line of JSON for each event that became readable: the seconds of its parts."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def settled(self, outcome: str) -> None:
        """Not asked for."""

    def fresh(self, event_type: str, seconds: float, parts: Mapping[str, float]) -> None:
        """An event became readable."""
        self._file.write(json.dumps(parts) + "\n")


def main(path: Path) -> None:
    """Run until stopped."""
    settings = Settings()
    configure(settings.log_format, settings.log_level)
    with path.open("a", buffering=1) as file, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, Lane.LIVE, Records(file)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
