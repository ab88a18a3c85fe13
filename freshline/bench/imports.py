"""`freshline bench import`: what live products notice of an import, or of a replay of it, that goes on beside them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from encoders.bundle import load_bundle
from encoders.session import available_cores
from freshline.bench.errors import BenchError
from freshline.bench.hosts_report import Freshness
from freshline.bench.imports_report import ImportReport, Look
from freshline.bench.installation import install, settings_of
from freshline.bench.telling import Say, Seen
from freshline.bench.together import await_members, worker
from freshline.bench.workload import Workload, draw
from freshline.parts import opened_store
from freshline.rollout import steps
from freshline.rollout.progress import count_products
from freshline.rollout.site import Site
from infra.local.stack import LocalStack
from stream.backlog import Backlog, GroupReader
from stream.publisher import Publisher, PublisherSettings

DRAWN = 100
LOOK_SECONDS = 0.5
COMPLETE_SECONDS = 3600
REUSE_BYTES = "16000000"
"""Of the second view's worker: that it holds all is asked, not how fast it encodes the same pictures again."""


class ImportBenchError(BenchError):
    """It can't be measured; the message says why."""


@dataclass(frozen=True)
class ImportPlan:
    """An import of `rows`, beside `per_second` live products for so many `seconds` from its beginning, or longer."""

    rows: int = 10_000
    per_second: float = 30
    seconds: float = 60
    replay: bool = False
    """The import is complete before the live products come, and what goes on beside them is its replay with force."""
    rebuild: bool = False
    """At the end a second view is made of the topic."""
    pictures: Path | None = None
    """A folder of JPEGs to show the products with; otherwise they are drawn."""


class ImportBench:
    """One run on a local stack that is up; `say` is told what is going on."""

    def __init__(self, plan: ImportPlan, stack: LocalStack, folder: Path, say: Say) -> None:
        self._plan, self._folder, self._say = plan, folder, say
        own = {
            "TOPIC_PREFIX": "import.",
            "ALIAS": "import",
            "LOG_LEVEL": "warning",
            "IMAGE_ROOT": str(plan.pictures or folder),
        }
        own["IMAGE_REUSE_BYTES"] = "0"  # the products share pictures, and each is to be encoded
        self._env = stack.env() | {f"FRESHLINE_{key}": value for key, value in own.items()}
        self._settings = settings_of(self._env)

    def run(self, seen: Seen) -> ImportReport:
        """Measure; `seen` is told how many products are in the view."""
        load = self._workload()
        view, file = install(self._settings), self._table(load)
        log = self._folder / "live.log"
        with worker(self._env, log, watched=True) as first, worker(self._env, self._folder / "replay.log", "replay"):
            self._say("starting the workers")
            await_members(self._settings.kafka(), self._settings.group(view, "live"), [first])
            command = ["publish", str(file), "--bulk"]
            if self._plan.replay:
                self._say("the import")
                with self._running(command) as importing:
                    self._finish(importing)
                if not self._await_complete(view, self._plan.rows, seen):
                    raise ImportBenchError(f"the import was not complete within {COMPLETE_SECONDS} s")
                command = ["replay", "--all", "--force"]
            self._say("beside live products")
            began = time.monotonic()
            with self._running(command) as process:
                published, looks = self._publish_steadily(load, process, self._settings.group(view, "live"))
                self._say("the rest")
                self._finish(process)
            complete = self._await_complete(view, self._plan.rows + published, seen)
        took = time.monotonic() - began
        return ImportReport(
            machine=f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}",
            rows=self._plan.rows,
            per_second=self._plan.per_second,
            replay=self._plan.replay,
            live=_freshness(first.records, published),
            looks=looks,
            complete_seconds=took if complete else None,
            missing_after_rebuild=self._rebuild(view, seen) if self._plan.rebuild else None,
        )

    def _workload(self) -> Workload:
        if self._plan.pictures is not None:
            found = sorted(self._plan.pictures.glob("*.jpg"))
            if not found:
                raise ImportBenchError(f"{self._plan.pictures}: there is no *.jpg in it")
            return Workload(found)
        self._say(f"drawing {DRAWN} pictures")
        return draw(self._folder, DRAWN)

    def _table(self, load: Workload) -> Path:
        file = self._folder / "import.jsonl"
        with file.open("w") as rows:
            for number in range(self._plan.rows):
                picture = load.pictures[number % len(load.pictures)].as_uri()
                row = {"product_id": f"product-{number}", "title": f"Mug {number}", "images": picture}
                rows.write(json.dumps(row) + "\n")
        return file

    @contextmanager
    def _running(self, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A command of ours in a process of its own."""
        command = [sys.executable, "-m", "freshline", *arguments]
        with self._command_log.open("ab") as log:
            process = subprocess.Popen(command, env=os.environ | self._env, stdout=log, stderr=log)  # noqa: S603
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        if process.wait(COMPLETE_SECONDS):
            raise ImportBenchError(f"the command failed:\n{self._command_log.read_text()[-2000:]}")

    @property
    def _command_log(self) -> Path:
        return self._folder / "command.log"

    def _publish_steadily(self, load: Workload, beside: subprocess.Popen[bytes], group: str) -> tuple[int, list[Look]]:
        """Publish for as long as planned and as the other runs, and look at how long the live lane's oldest waits.

        Returns:
            How many were published, and the looks.
        """
        plan, count = self._plan, 0
        backlog, reader = Backlog(), GroupReader(self._settings.kafka(), self._settings.topics.events)
        began, looks = time.monotonic(), [Look(0.0, 0.0, 0)]
        with Publisher(PublisherSettings(self._settings.kafka(), self._settings.topics)) as publisher:
            while (elapsed := time.monotonic() - began) < plan.seconds or beside.poll() is None:
                while count < elapsed * plan.per_second:
                    publisher.publish(next(load.listed(range(plan.rows + count, plan.rows + count + 1))))
                    count += 1
                if elapsed > looks[-1].at + LOOK_SECONDS:
                    ends, committed = reader.read(group)
                    now = time.monotonic()
                    lag = sum(end - max(0, committed.get(partition, 0)) for partition, end in ends.items())
                    looks.append(Look(now - began, backlog.waits(now, ends, committed), lag))
                time.sleep(max(0.0, began + count / plan.per_second - time.monotonic()))
        return count, looks

    def _rebuild(self, view: str, seen: Seen) -> int:
        """Build a second view from the first event on; how many of the first one's products it lacks."""
        with Site(self._settings) as site:
            built = steps.start(site, load_bundle(self._settings.bundle_path)).view
            self._say("building a second view")
            wanted = site.store.run_sync(partial(count_products, view=view))
            reuse = {
                "FRESHLINE_VIEW": built,
                "FRESHLINE_IMAGE_REUSE_BYTES": REUSE_BYTES,
                "FRESHLINE_YIELD_SECONDS": "0",
            }
            with worker(self._env | reuse, self._folder / "rebuild.log"):
                self._await_complete(built, wanted, seen)
            return wanted - site.store.run_sync(partial(count_products, view=built))

    def _await_complete(self, view: str, products: int, seen: Seen) -> bool:
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


def _freshness(records: Path, published: int) -> Freshness:
    """Of the live products, as their worker recorded it: a replay writes `indexed_at` anew, theirs too."""
    seconds = [sum(json.loads(line).values()) for line in records.read_text().splitlines()]
    if len(seconds) < published:
        raise ImportBenchError(f"{published - len(seconds)} live products never became readable")
    p50, p99 = np.percentile(seconds, [50, 99])
    return Freshness(len(seconds), float(p50), float(p99), max(seconds))
