"""`freshline serve` as a process, asked over HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from freshline.bench.waiting import TooLate, awaited

START_SECONDS, ANSWER_SECONDS = 60.0, 10.0

Send = Callable[[aiohttp.ClientSession, int], Awaitable[int]]
"""Makes the request of this number; its HTTP status, 0 if there is none."""


@dataclass(frozen=True)
class Served:
    """A service that answers."""

    url: str
    process: int

    def similar(self, products: int) -> Send:
        """Searches without a model: by the pictures of a product that is there, one of so many."""

        async def send(session: aiohttp.ClientSession, number: int) -> int:
            product = f"product-{number * 7919 % products}"
            return await _status(session.get(f"{self.url}/v1/products/{product}/similar"))

        return send

    def picture(self, pictures: Sequence[bytes], filters: Mapping[str, str] | None = None) -> Send:
        """Searches by one of these pictures, among what meets the filters."""

        async def send(session: aiohttp.ClientSession, number: int) -> int:
            form = aiohttp.FormData(dict(filters or {}))
            form.add_field("image", pictures[number % len(pictures)], filename="photo.jpg")
            return await _status(session.post(f"{self.url}/v1/search", data=form))

        return send

    def stages(self) -> dict[str, tuple[float, float]]:
        """Seconds and how often, by stage, as the service counts them."""
        with urlopen(f"{self.url}/metrics", timeout=ANSWER_SECONDS) as answer:  # noqa: S310 (our own)
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [each for family in families if family.name == "freshline_search_seconds" for each in family.samples]
        values = {(each.name.rpartition("_")[2], each.labels["stage"]): each.value for each in samples}
        return {stage: (values["sum", stage], values["count", stage]) for kind, stage in values if kind == "count"}


@contextmanager
def service(env: Mapping[str, str], folder: Path) -> Iterator[Served]:
    """One with these settings, that logs into the folder; stopped at the end.

    Raises:
        TooLate: it ended, or does not answer; the message has the end of its log.
    """
    log = folder / "serve.log"
    command = [sys.executable, "-m", "freshline", "serve", "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environ | dict(env), stdout=output, stderr=output)  # noqa: S603 (our own)
    try:
        yield Served(_address(log, process), process.pid)
    finally:
        process.terminate()
        process.wait()


def session() -> aiohttp.ClientSession:
    """With as many connections as it takes."""
    timeout = aiohttp.ClientTimeout(ANSWER_SECONDS)
    return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


def since(now: Mapping[str, tuple[float, float]], before: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Mean seconds of each stage in between."""
    spent = {stage: (now[stage][0] - before[stage][0], now[stage][1] - before[stage][1]) for stage in now}
    return {stage: seconds / count for stage, (seconds, count) in sorted(spent.items()) if count}


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    """As soon as it answers; its port is in its log."""

    def ready() -> str | None:
        if process.poll() is not None:
            raise TooLate(f"the service ended:\n{log.read_text()[-2000:]}")
        match = re.search(r"running on (http://[0-9.:]+)", log.read_text())
        return match[1] if match else None

    return awaited(ready, START_SECONDS, "the service did not start")


async def _status(asked: Any) -> int:
    try:
        async with asked as response:
            await response.read()
            return int(response.status)
    except (aiohttp.ClientError, TimeoutError):
        return 0
