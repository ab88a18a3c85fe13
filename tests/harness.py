"""Driving Freshline as its users do: real processes of the real command, and the real clients to look at the result."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any
from unittest.mock import patch

from confluent_kafka import Consumer, KafkaException, TopicPartition
from PIL import Image as Picture
from qdrant_client import QdrantClient

from freshline import Event, Publisher, PublisherSettings
from freshline.cli import main
from freshline.settings import Settings
from indexer.collections import serving_view
from indexer.points import read_payload
from indexer.store import QdrantSettings, Store
from schemas.dead_letters import DeadLetter
from schemas.payloads import VECTOR_NAME, Payload, point_id

FRESHLINE = str(Path(sys.executable).parent / "freshline")
COUNTER = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)


def eventually(check: Callable[[], Any], *, within: float = 60.0, what: str = "") -> Any:
    """The first true answer of `check`, asked until it is given; what is awaited lives in other processes."""
    deadline = time.monotonic() + within
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what or check}; last answer {answer!r}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def freshline(*arguments: str, env: Mapping[str, str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command to its end, as a user would run it; the limit is there for one that hangs, not for a slow machine."""
    return subprocess.run(
        [FRESHLINE, *arguments],
        env=os.environ | dict(env),
        text=True,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=280,
    )


def freshline_here(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The same in this process, which has the imports already; for commands that set up neither logging nor signals."""
    out, err = (TextIOWrapper(BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        patch.dict(os.environ, env),
        patch.object(sys, "argv", ["freshline", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
    said = [_written(stream) for stream in (out, err)]
    return subprocess.CompletedProcess(arguments, status, *said)


def _written(stream: TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


class Installation:
    """One installation of Freshline on the local stack: its processes, its topics, its view."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.env = dict(env)
        self.folder = folder
        self.settings = Settings(_env_file=None, **{key.removeprefix("FRESHLINE_").lower(): env[key] for key in env})  # type: ignore[arg-type]
        self.publisher = Publisher(PublisherSettings(self.settings.kafka(), self.settings.topics))
        self.store = Store(
            QdrantSettings(url=self.settings.qdrant_url, grpc_port=self.settings.qdrant_grpc_port, threads=1)
        )

    @cached_property
    def consumer(self) -> Consumer:
        """Asks about the live group and reads topics, but never joins the group."""
        group = self.settings.group(self.view, "live")
        settings = {"group.id": group, "enable.auto.commit": False, "enable.partition.eof": True}
        return Consumer(self.settings.kafka().librdkafka() | settings)

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return freshline(*arguments, env=self.env, stdin=stdin)

    def setup(self, partitions: int = 4) -> None:
        done = freshline_here("setup", "--partitions", str(partitions), env=self.env)
        assert done.returncode == 0, done.stderr + done.stdout

    @contextmanager
    def worker(self, lane: str = "live", **env: str) -> Iterator[WorkerProcess]:
        """A worker; killed at the end if it still runs."""
        process = WorkerProcess(self, lane, env)
        try:
            yield process
        finally:
            process.kill()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The search service; its URL."""
        port = free_port()
        log = (self.folder / f"serve-{port}.log").open("wb")
        process = subprocess.Popen(
            [FRESHLINE, "serve", "--port", str(port)], env=os.environ | self.env, stdout=log, stderr=log
        )
        url = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: process.poll() is not None or _answers(f"{url}/readyz"), what="the search service")
            assert process.poll() is None, Path(log.name).read_text()
            yield url
        finally:
            process.terminate()
            process.wait(20)
            log.close()

    # --- what is in the index ----------------------------------------------------------------------------------------
    @cached_property
    def view(self) -> str:
        """The serving collection."""
        view = self.store.run_sync(lambda client: serving_view(client, self.settings.alias))
        assert view is not None
        return view

    def payload(self, product_id: str) -> Payload | None:
        view = self.view
        return self.store.run_sync(lambda client: read_payload(client, view, product_id))

    def payloads(self) -> dict[str, Payload]:
        """Everything in the view, by product id."""
        view = self.view
        return {payload.product_id: payload for payload in self.store.run_sync(lambda client: _scroll(client, view))}

    def indexes(self) -> set[str]:
        """The payload fields that the view can filter by."""
        view = self.view
        return set(self.store.run_sync(lambda client: client.get_collection(view)).payload_schema)

    def vectors(self, product_id: str) -> list[list[float]]:
        view = self.view
        found = self.store.run_sync(lambda client: client.retrieve(view, [point_id(product_id)], with_vectors=True))
        vector: Any = found[0].vector
        return vector.get(VECTOR_NAME, []) if vector else []

    # --- what is in Kafka --------------------------------------------------------------------------------------------
    def committed(self) -> dict[int, int]:
        """The live group's committed offset by partition, where there is one."""
        topic = self.settings.topics.events
        asked = [TopicPartition(topic, number) for number in self.watermarks(topic)]
        return {entry.partition: entry.offset for entry in self.consumer.committed(asked, 10) if entry.offset >= 0}

    def watermarks(self, topic: str | None = None) -> dict[int, tuple[int, int]]:
        """(low, high) of each partition."""
        topic = topic or self.settings.topics.events
        partitions = self.consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return {
            number: self.consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            for number in partitions
        }

    def caught_up(self) -> bool:
        """Whether every event on the topic is committed; False while the broker is electing leaders."""
        try:
            committed = self.committed()
            return all(committed.get(number, 0) >= high for number, (_, high) in self.watermarks().items())
        except KafkaException:
            return False

    def dead_letters(self) -> list[DeadLetter]:
        values = (value for _, _, value in self.records(self.settings.topics.dead_letters))
        return [DeadLetter.model_validate_json(value) for value in values if value]

    def records(self, topic: str) -> list[tuple[int, int, bytes | None]]:
        """(partition, offset, value) of everything on a topic."""
        ends = {number: high for number, (low, high) in self.watermarks(topic).items() if high > low}
        found: list[tuple[int, int, bytes | None]] = []
        self.consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        while ends:
            message = self.consumer.poll(10)
            assert message is not None, f"{topic}: nothing read within 10 s, still expecting {ends}"
            if message.error():  # the end of a partition
                ends.pop(message.partition() or 0, None)
                continue
            found.append((message.partition() or 0, message.offset() or 0, message.value()))
        self.consumer.unassign()
        return found

    def publish(self, *events: Event) -> None:
        for event in events:
            self.publisher.publish(event)
        self.publisher.flush()

    def close(self) -> None:
        self.publisher.close()
        if "consumer" in self.__dict__:  # made when it is first asked
            self.consumer.close()
        self.store.close()


class WorkerProcess:
    """A real `freshline worker`, which logs to a file beside the test's pictures."""

    def __init__(self, installation: Installation, lane: str, env: Mapping[str, str]) -> None:
        self.port = free_port()
        self.log = installation.folder / f"worker-{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [FRESHLINE, "worker", "--lane", lane],
                env=os.environ | installation.env | {"FRESHLINE_METRICS_PORT": str(self.port)} | dict(env),
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, as the kernel's out-of-memory killer would."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def exited(self, within: float) -> bool:
        """Whether it ends by itself within so many seconds."""
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ready(self) -> bool:
        """Whether it has its partitions and waits for nothing."""
        return _answers(f"http://127.0.0.1:{self.port}/readyz")

    def stop(self, within: float = 30.0) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels; 0 while there are none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return 0.0
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        return sum(
            float(match["value"])
            for match in COUNTER.finditer(text)
            if match["name"] == name and wanted <= set((match["labels"] or "").split(","))
        )


def _scroll(client: QdrantClient, view: str) -> list[Payload]:
    payloads: list[Payload] = []
    offset: Any = None
    while True:
        records, offset = client.scroll(view, limit=1000, offset=offset, with_payload=True)
        payloads += [Payload.model_validate(record.payload) for record in records]
        if offset is None:
            return payloads


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def draw(path: Path, seed: int, size: int = 96) -> str:
    """A picture like no other with another seed; its `file:///` URL."""
    values = bytes((seed * 7919 + index * (seed % 251 + 3)) % 256 for index in range(8 * 8 * 3))
    Picture.frombytes("RGB", (8, 8), values).resize((size, size), Picture.Resampling.BICUBIC).save(path, "JPEG")
    return path.as_uri()


def listing(product_id: str, urls: list[str], *, version: int | None = None, **fields: Any) -> Event:
    """An event that lists a product."""
    return event(
        "created", product_id, version, title=f"Product {product_id}", images=[{"url": url} for url in urls], **fields
    )


def event(kind: str, product_id: str, version: int | None = None, **product: Any) -> Event:
    body: dict[str, Any] = {
        "event_id": f"{product_id}-{time.monotonic_ns()}",
        "type": kind,
        "product_id": product_id,
        "occurred_at": datetime.now(UTC),
    }
    if version is not None:
        body["version"] = version
    if product:
        body["product"] = product
    return Event.model_validate(body)
