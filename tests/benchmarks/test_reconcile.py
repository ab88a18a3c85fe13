"""How much memory a reconciliation takes: about the same, however many products there are.

FRESHLINE_RECONCILE_PRODUCTS=100000 pytest -s tests/benchmarks/test_reconcile.py
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from qdrant_client import models

from indexer.wire import Whole, upsert
from schemas.events import Event
from schemas.payloads import EncodedImage, Payload, revision_of
from tests.factories import NOW
from tests.harness import FRESHLINE, Installation, listing

PRODUCTS = int(os.environ.get("FRESHLINE_RECONCILE_PRODUCTS", "10000"))
MIB = 2**20


def peak(shop: Installation, *options: str) -> tuple[int, dict[str, Any]]:
    """The most memory that `freshline doctor` held at once, and what it said.

    The kernel's own high-water mark of the process: that of `wait4` starts at what this process holds.
    """
    out = shop.folder / "doctor.json"
    with out.open("wb") as answer:
        process = subprocess.Popen([FRESHLINE, "doctor", "--json", *options], env=os.environ | shop.env, stdout=answer)
        most = 0
        while process.poll() is None:
            most = max(most, high_water(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
    return most, json.loads(out.read_text())


def high_water(pid: int) -> int:
    """In bytes; 0 while the process is ending."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:") and "freshline" in Path(f"/proc/{pid}/cmdline").read_text():
                return int(line.split()[1]) * 1024
    return 0


def stock(shop: Installation) -> None:
    """Every product listed twice and settled, and every hundredth of them not in the view."""
    for _ in range(2):
        for number in range(PRODUCTS):
            shop.publisher.publish(listing(f"product-{number}", [f"http://images.test/{number}.jpg"]))
    shop.publisher.flush()
    newest = {
        event.product_id: (event, offset)
        for _, offset, value in shop.records(shop.settings.topics.events)
        if (event := Event.model_validate_json(value or b"")) is not None
    }
    points: list[Whole] = [
        (_payload(event, offset), []) for number, (event, offset) in enumerate(newest.values()) if number % 100
    ]
    view = shop.view
    for start in range(0, len(points), 1000):
        shop.store.run_sync(partial(upsert, view=view, points=points[start : start + 1000], guard=models.Filter()))
    settle(shop)


def settle(shop: Installation) -> None:
    topic = shop.settings.topics.events
    group = {"group.id": shop.settings.group(shop.view, "live")}
    consumer = Consumer(shop.settings.kafka().librdkafka() | group)
    ends = [TopicPartition(topic, number, high) for number, (_, high) in shop.watermarks(topic).items()]
    consumer.commit(offsets=ends, asynchronous=False)
    consumer.close()


def _payload(event: Event, offset: int) -> Payload:
    return Payload(
        product_id=event.product_id,
        version=event.version,
        revision=revision_of(offset, 1),
        occurred_at=event.occurred_at,
        indexed_at=NOW,
        event_id=event.event_id,
        encoded_images=[EncodedImage(url=image.url, digest="sha256:") for image in event.images],
    )


def test_memory_does_not_grow_with_the_products(shop: Installation, tmp_path: Path) -> None:
    stock(shop)

    alone, _ = peak(shop)
    started = time.monotonic()
    whole, document = peak(shop, "--reconcile")
    seconds = time.monotonic() - started
    found = document["reconcile"]

    print(
        f"\n{found['events']} events, {found['products']} products, {found['points']} points:"
        f" {seconds:.0f} s, peak RSS {whole / MIB:.0f} MiB; of the other checks alone {alone / MIB:.0f} MiB"
    )
    assert (found["events"], found["products"]) == (2 * PRODUCTS, PRODUCTS)
    assert found["counts"]["missing"] == found["differences"] == -(-PRODUCTS // 100)
    assert alone > 20 * MIB  # it was seen at all
    assert whole < alone + 160 * MIB
