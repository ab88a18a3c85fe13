"""`freshline bench import`: what live products notice of an import that goes on beside them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from encoders.session import available_cores
from freshline.bench.hosts_report import Freshness
from freshline.bench.imports_report import ImportReport, Seen
from freshline.bench.installation import install, settings_of
from freshline.bench.together import await_members, worker
from freshline.bench.workload import Workload, draw
from freshline.parts import opened_store
from indexer.points import read_payload
from infra.local.stack import LocalStack
from stream.backlog import Backlog, GroupReader
from stream.publisher import Publisher, PublisherSettings

DRAWN = 100
LOOK_SECONDS = 0.5
COMPLETE_SECONDS = 3600


@dataclass(frozen=True)
class ImportPlan:
    """An import of `rows`, beside `per_second` live products for so many `seconds` from its beginning."""

    rows: int = 10_000
    per_second: float = 30
    seconds: float = 60


class ImportBench:
    """One run on a local stack that is up; `say` is told what is going on."""

    def __init__(self, plan: ImportPlan, stack: LocalStack, folder: Path, say: Callable[[str], None]) -> None:
        self._plan, self._folder, self._say = plan, folder, say
        own = {"TOPIC_PREFIX": "import.", "ALIAS": "import", "LOG_LEVEL": "warning", "IMAGE_ROOT": str(folder)}
        own["IMAGE_REUSE_BYTES"] = "0"  # the products share pictures, and each is to be encoded
        self._env = stack.env() | {f"FRESHLINE_{key}": value for key, value in own.items()}
        self._settings = settings_of(self._env)

    def run(self, seen: Callable[[float], None]) -> ImportReport:
        """Measure; `seen` is told how many products are in the view."""
        self._say(f"drawing {DRAWN} pictures")
        load, live = draw(self._folder, DRAWN), self._live_products()
        view, file = install(self._settings), self._table(load)
        log = self._folder / "live.log"
        with worker(self._env, log) as first, worker(self._env, self._folder / "replay.log", "replay"):
            self._say("starting the workers")
            await_members(self._settings.kafka(), self._settings.group(view, "live"), [first])
            self._say("importing beside live products")
            began = time.monotonic()
            with self._importing(file):
                looks = self._publish_steadily(load, live, self._settings.group(view, "live"))
            self._say("the rest of the import")
            complete = self._await_complete(view, self._plan.rows + len(live), seen)
        return ImportReport(
            machine=f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}",
            rows=self._plan.rows,
            per_second=self._plan.per_second,
            live=self._freshness(view, live),
            looks=looks,
            complete_seconds=time.monotonic() - began if complete else None,
        )

    def _live_products(self) -> range:
        return range(self._plan.rows, self._plan.rows + round(self._plan.per_second * self._plan.seconds))

    def _table(self, load: Workload) -> Path:
        file = self._folder / "import.jsonl"
        with file.open("w") as rows:
            for number in range(self._plan.rows):
                picture = load.pictures[number % DRAWN].as_uri()
                row = {"product_id": f"product-{number}", "title": f"Mug {number}", "images": picture}
                rows.write(json.dumps(row) + "\n")
        return file

    @contextmanager
    def _importing(self, file: Path) -> Iterator[None]:
        """The command itself, in a process of its own; at the end it has sent all."""
        command = [sys.executable, "-m", "freshline", "publish", str(file), "--bulk"]
        with (self._folder / "publish.log").open("wb") as log:
            process = subprocess.Popen(command, env=os.environ | self._env, stdout=log, stderr=log)  # noqa: S603
        try:
            yield
            process.wait(COMPLETE_SECONDS)
        finally:
            process.kill()

    def _publish_steadily(self, load: Workload, live: range, group: str) -> list[Seen]:
        """Publish all of them, and look at how long the live lane's oldest event waits meanwhile."""
        backlog, reader = Backlog(), GroupReader(self._settings.kafka(), self._settings.topics.events)
        began, looks = time.monotonic(), [Seen(0.0, 0.0, 0)]
        with Publisher(PublisherSettings(self._settings.kafka(), self._settings.topics)) as publisher:
            for number in live:
                due = began + (number - live.start) / self._plan.per_second
                time.sleep(max(0.0, due - time.monotonic()))
                publisher.publish(next(load.listed(range(number, number + 1))))
                if time.monotonic() - began > looks[-1].at + LOOK_SECONDS:
                    ends, committed = reader.read(group)
                    now = time.monotonic()
                    lag = sum(end - max(0, committed.get(partition, 0)) for partition, end in ends.items())
                    looks.append(Seen(now - began, backlog.waits(now, ends, committed), lag))
        return looks

    def _await_complete(self, view: str, products: int, seen: Callable[[float], None]) -> bool:
        with opened_store(self._settings) as store:

            def complete() -> bool:
                found = store.run_sync(lambda client: client.count(view).count)
                seen(found)
                return found >= products

            patiently = Retrying(
                retry=retry_if_result(lambda done: not done),
                wait=wait_fixed(1),
                stop=stop_after_delay(COMPLETE_SECONDS),
                retry_error_callback=lambda _: False,
            )
            return bool(patiently(complete))

    def _freshness(self, view: str, live: Sequence[int]) -> Freshness:
        """Of the live products; one that is not there is an error of the measurement's own."""
        with opened_store(self._settings) as store:
            found = store.run_sync(lambda client: [read_payload(client, view, f"product-{each}") for each in live])
        seconds = [(each.indexed_at - each.occurred_at).total_seconds() for each in found if each is not None]
        assert len(seconds) == len(live), f"{len(live) - len(seconds)} live products are not in the view"
        p50, p99 = np.percentile(seconds, [50, 99])
        return Freshness(len(seconds), float(p50), float(p99), max(seconds))
