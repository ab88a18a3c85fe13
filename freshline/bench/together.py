"""The whole pipeline: real worker processes that work off what is published, watched from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from freshline.bench.errors import BenchError
from freshline.bench.meters import Meter, Use, resident_bytes, steady_rate
from freshline.bench.telling import Seen
from stream.kafka import KafkaSettings

PERIOD_SECONDS = 0.5
START_SECONDS = 60
STOP_SECONDS = 30
TIMEOUT_SECONDS = 10
PART = (0.25, 0.85)
"""Of the events, over which the capacity is measured: before, workers start; after, one is done first."""


class WorkerEnded(BenchError):
    """The worker ended by itself; the message has the end of its log."""


@dataclass(frozen=True)
class Sample:
    """What was seen at one moment, over all workers."""

    use: Use
    """Of the servers too."""
    settled: Mapping[str, float]
    """Events by outcome."""
    resident_bytes: int

    @property
    def events(self) -> float:
        """Events settled so far."""
        return sum(self.settled.values())


@dataclass(frozen=True)
class RunningWorker:
    """A worker process, the port of its metrics and the file of its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def records(self) -> Path:
        """Where it writes of every event, if it is watched."""
        return self.log.with_suffix(".jsonl")

    def check(self) -> None:
        """Raise WorkerEnded if it ended by itself."""
        if self.process.poll() is not None:
            raise WorkerEnded(f"the worker ended with {self.process.returncode}:\n{self.log.read_text()[-2000:]}")

    def settled(self) -> Counter[str]:
        """Events by outcome; none while it does not answer yet."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return Counter()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        found = {each.labels["outcome"]: each.value for each in samples if each.name == "freshline_events_total"}
        return Counter({outcome: round(value) for outcome, value in found.items()})


@contextmanager
def workers(
    env: Mapping[str, str], folder: Path, count: int, *, watched: bool = False
) -> Iterator[list[RunningWorker]]:
    """So many workers with these settings, that log into the folder, each on a core of its own; stopped at the end.

    With `watched` they write there what they know of every event, too.
    """
    with ExitStack() as stack:
        logs = [folder / f"worker-{number}.log" for number in range(count)]
        running = [stack.enter_context(worker(env, log, watched=watched)) for log in logs]
        cores = psutil.Process().cpu_affinity() or []
        for number, each in enumerate(running if count > 1 else []):
            psutil.Process(each.process.pid).cpu_affinity([cores[number % len(cores)]])
        yield running


@contextmanager
def worker(env: Mapping[str, str], log: Path, lane: str = "live", *, watched: bool = False) -> Iterator[RunningWorker]:
    """One worker with these settings, stopped at the end; a live one may be watched."""
    port = _free_port()
    plain, records = ["freshline", "worker", "--lane", lane], str(log.with_suffix(".jsonl"))
    command = [sys.executable, "-m", *(["freshline.bench.watched", records] if watched else plain)]
    whole = os.environ | dict(env) | {"FRESHLINE_METRICS_PORT": str(port)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=whole, stdout=output, stderr=output)  # noqa: S603 (our own)
    try:
        yield RunningWorker(process, port, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def watch(running: Sequence[RunningWorker], servers: Sequence[int], until: int, seen: Seen) -> list[Sample]:
    """Samples until the workers have settled `until` events; `seen` is told how many they are, each time."""
    pids = [each.process.pid for each in running]
    meter = Meter(*pids, *servers)
    samples: list[Sample] = []
    while not samples or samples[-1].events < until:
        for each in running:
            each.check()
        settled = sum((each.settled() for each in running), Counter[str]())
        samples.append(Sample(meter.read(), settled, sum(map(resident_bytes, pids))))
        seen(samples[-1].events)
        time.sleep(PERIOD_SECONDS)
    return samples


def rate_of(samples: Sequence[Sample]) -> float:
    """Events a second, while they were worked off as fast as it goes."""
    at = [each.use.since(samples[0].use).wall for each in samples]
    return steady_rate([each.events for each in samples], at, PART)


def await_members(kafka: KafkaSettings, group: str, running: Sequence[RunningWorker]) -> None:
    """Return when each of the workers has partitions: a rebalance in the middle would be measured too."""
    admin = AdminClient(kafka.librdkafka())

    def settled() -> bool:
        for each in running:
            each.check()
        try:
            found = admin.describe_consumer_groups([group])[group].result(TIMEOUT_SECONDS)
        except (KafkaException, TimeoutError):  # no such group yet, or a broker that has only just started
            return False
        members = [member for member in found.members if member.assignment.topic_partitions]
        return found.state == ConsumerGroupState.STABLE and len(members) == len(running)

    Retrying(retry=retry_if_result(lambda done: not done), wait=wait_fixed(0.2), stop=stop_after_delay(START_SECONDS))(
        settled
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
