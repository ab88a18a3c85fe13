"""`freshline bench hosts`: what the products of well hosts notice of one that hangs, at half of the capacity."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from qdrant_client import QdrantClient
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from encoders.session import available_cores
from freshline.bench.hosts_report import Freshness, HostsReport
from freshline.bench.installation import install, settings_of
from freshline.bench.picture_hosts import PictureHosts
from freshline.bench.telling import Say, Seen
from freshline.bench.together import RunningWorker, await_members, rate_of, watch, worker, workers
from freshline.bench.workload import draw
from freshline.parts import opened_store
from infra.local.stack import LocalStack
from schemas.events import Event, Image, Product
from schemas.payloads import Payload
from stream.publisher import Publisher, PublisherSettings

DRAWN = 100
RETRY_DELAY_SECONDS = 10
COMPLETE_SECONDS = 300


@dataclass(frozen=True)
class HostsPlan:
    """How many hosts, and how long one of them hangs."""

    hosts: int = 20
    burst: int = 4000
    """Events that the capacity is measured with."""
    seconds: float = 60
    workers: int = 1
    load: float = 0.5
    """Of the capacity."""


class HostsBench:
    """One run on a local stack that is up.

    Args:
        plan: how much.
        stack: with Kafka and Qdrant.
        folder: for pictures and logs.
        say: told what is going on.
    """

    def __init__(self, plan: HostsPlan, stack: LocalStack, folder: Path, say: Say) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        own = {"TOPIC_PREFIX": "hosts.", "ALIAS": "hosts", "LOG_LEVEL": "warning"}
        own |= {"IMAGE_ALLOW_NETWORKS": "127.0.0.0/8", "RETRY_DELAY_SECONDS": str(RETRY_DELAY_SECONDS)}
        self._env = stack.env() | {f"FRESHLINE_{key}": value for key, value in own.items()}
        self._settings = settings_of(self._env)

    def run(self, seen: Seen) -> HostsReport:
        """Measure everything; `seen` is told how many events the workers have settled."""
        self._say(f"drawing {DRAWN} pictures")
        pictures = [path.read_bytes() for path in draw(self._folder, DRAWN).pictures]
        view = install(self._settings)
        with (
            PictureHosts(self._plan.hosts, pictures) as hosts,
            workers(self._env, self._folder, self._plan.workers) as live,
            worker(self._env, self._folder / "retry.log", "retry"),
        ):
            self._say("starting the workers")
            await_members(self._settings.kafka(), self._settings.group(view, "live"), live)
            return self._measure(hosts, live, view, seen)

    def _measure(self, hosts: PictureHosts, live: Sequence[RunningWorker], view: str, seen: Seen) -> HostsReport:
        plan = self._plan
        self._say("all hosts well, as fast as it goes")
        idle = watch(live, [], 0, seen)
        with self._publisher() as publisher:
            for number in range(plan.burst):
                publisher.publish(_listed(number, hosts))
        capacity = rate_of(idle + watch(live, [], plan.burst, seen))
        self._say(f"one host hangs, {plan.load * capacity:.0f} events/s")
        hosts.hang(0)
        numbers = range(plan.burst, plan.burst + round(plan.load * capacity * plan.seconds))
        self._publish_steadily(numbers, plan.load * capacity, hosts)
        last = watch(live, [], numbers.stop, seen)[-1]
        found = self._read(view, numbers)
        hosts.heal()
        self._say("the host is well again")
        completed = self._await_complete(view, numbers)
        return HostsReport(
            machine=f"{platform.machine()}, {available_cores()} cores, Python {platform.python_version()}",
            hosts=plan.hosts,
            workers=plan.workers,
            capacity_per_second=capacity,
            per_second=plan.load * capacity,
            seconds=plan.seconds,
            others=_freshness(found, (number for number in numbers if number % plan.hosts)),
            hanging=_freshness(found, (number for number in numbers if not number % plan.hosts)),
            parked=round(last.settled.get("parked", 0)),
            completed_seconds=completed,
        )

    def _publish_steadily(self, numbers: range, per_second: float, hosts: PictureHosts) -> None:
        began = time.monotonic()
        with self._publisher() as publisher:
            for number in numbers:
                due = began + (number - numbers.start) / per_second
                time.sleep(max(0.0, due - time.monotonic()))
                publisher.publish(_listed(number, hosts))

    def _publisher(self) -> Publisher:
        return Publisher(PublisherSettings(self._settings.kafka(), self._settings.topics))

    def _read(self, view: str, numbers: range) -> dict[int, Payload]:
        with opened_store(self._settings) as store:
            found = store.run_sync(lambda client: dict(_scroll(client, view)))
        return {number: found[number] for number in numbers if number in found}

    def _await_complete(self, view: str, numbers: range) -> float | None:
        """Seconds until each of the products has its picture; None if that takes too long."""
        began = time.monotonic()

        def complete() -> bool:
            found = self._read(view, numbers)
            return len(found) == len(numbers) and all(payload.encoded_images for payload in found.values())

        patiently = Retrying(
            retry=retry_if_result(lambda done: not done),
            wait=wait_fixed(1),
            stop=stop_after_delay(COMPLETE_SECONDS),
            retry_error_callback=lambda _: False,
        )
        return time.monotonic() - began if patiently(complete) else None


def _listed(number: int, hosts: PictureHosts) -> Event:
    product = Product(title=f"Striped teal mug {number}", images=[Image(url=hosts.url(number))])
    return Event(
        event_id=str(number),
        type="created",
        product_id=f"product-{number}",
        occurred_at=datetime.now(UTC),
        product=product,
    )


def _scroll(client: QdrantClient, view: str) -> Iterator[tuple[int, Payload]]:
    offset = None
    while True:
        records, offset = client.scroll(view, limit=2000, offset=offset, with_payload=True)
        for record in records:
            payload = Payload.model_validate(record.payload)
            yield int(payload.product_id.removeprefix("product-")), payload
        if offset is None:
            return


def _freshness(found: Mapping[int, Payload], numbers: Iterator[int]) -> Freshness:
    """Of these products; one that is not there is an error of the measurement's own."""
    payloads = [found[number] for number in numbers]
    seconds = [(payload.indexed_at - payload.occurred_at).total_seconds() for payload in payloads]
    p50, p99 = np.percentile(seconds, [50, 99])
    return Freshness(len(seconds), float(p50), float(p99), max(seconds))
