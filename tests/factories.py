"""Valid things with short names, for tests that change one detail of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image as PILImage

from indexer.decide import Change
from indexer.points import Point, Stored
from indexer.wire import Row, numbers
from schemas.dead_letters import DeadLetter
from schemas.events import Event, Image
from schemas.payloads import EncodedImage, Payload, revision_of
from stream.images.fetched import Room
from stream.images.fetcher import Fetched, FetchError, Known
from stream.records import Journey, Record

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
VIEW = "products-0123456789ab-1"
DIMENSION = 4


def url(name: str) -> str:
    """The URL of a picture that is called `name`."""
    return f"http://images.test/{name}"


def digest(name: str) -> str:
    """The digest of the bytes that the encoded picture `name` has in these factories."""
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def image(name: str, *, with_digest: bool = False) -> Image:
    """The picture `name`."""
    return Image(url=url(name), digest=digest(name) if with_digest else None)


def encoded(name: str) -> EncodedImage:
    """What a payload says of the encoded picture `name`."""
    return EncodedImage(url=url(name), digest=digest(name))


def vector(name: str) -> list[float]:
    """A unit vector that is the picture's own."""
    raw = [byte + 1 for byte in hashlib.sha256(name.encode()).digest()[:DIMENSION]]
    norm = sum(value * value for value in raw) ** 0.5
    return [value / norm for value in raw]


def document(**changes: Any) -> dict[str, Any]:
    """A valid created event as a publisher writes it; `product_...` arguments change its product."""
    product: dict[str, Any] = {"title": "A red shoe", "images": [{"url": url("a")}]}
    event: dict[str, Any] = {
        "event_id": "event-1",
        "type": "created",
        "product_id": "p1",
        "version": 1_780_000_000_000_000,
        "occurred_at": "2026-06-01T11:59:58.5+00:00",
        "product": product,
    }
    for name, value in changes.items():
        if name.startswith("product_") and name != "product_id":
            product[name.removeprefix("product_")] = value
        else:
            event[name] = value
    return event


def as_json(**changes: Any) -> bytes:
    """`document` as it stands on the topic."""
    return json.dumps(document(**changes)).encode()


def event(version: int = 1, images: str = "a", *, product_id: str = "p1", **changes: Any) -> Event:
    """An event in the counter scheme, with one picture for each letter of `images`; deleted if there is none."""
    if not images:
        return Event(
            event_id="e", type="deleted", product_id=product_id, version=version, occurred_at=NOW - timedelta(seconds=1)
        )
    fields = document(version=version, product_id=product_id, product_images=[{"url": url(name)} for name in images])
    return Event.model_validate(fields | changes)


def change(version: int = 1, offset: int = 0, images: str = "a", *, force: bool = False, **changes: Any) -> Change:
    """An event with its place in the log."""
    return Change(event(version, images, **changes), offset, force=force)


def stored(version: int = 1, offset: int = 0, images: str = "a", *, vectors: bool = True) -> Stored:
    """What a view holds once the event of these arguments is indexed."""
    return Stored(
        version,
        revision_of(offset, len(images)),
        tuple(encoded(name) for name in images),
        [vector(name) for name in images] if vectors else None,
    )


def point(
    product_id: str = "p1",
    version: int = 1,
    revision: int = 0,
    *,
    read: int = 0,
    images: str = "a",
    deleted: bool = False,
) -> Point:
    """A whole point, planned when the version `read` was stored."""
    payload = Payload(
        product_id=product_id,
        version=version,
        revision=revision,
        occurred_at=NOW,
        indexed_at=NOW,
        event_id=f"e{version}.{revision}",
        encoded_images=[] if deleted else [encoded(name) for name in images],
        deleted=deleted,
    )
    return Point(payload, [] if deleted else [vector(name) for name in images], read)


def record(value: bytes | Event | None, *, offset: int = 0, **changes: Any) -> Record:
    """A Kafka record of `catalog.events`, keyed as the Publisher does."""
    key = value.product_id.encode() if isinstance(value, Event) else b"p1"
    fields: dict[str, Any] = {
        "topic": "catalog.events",
        "partition": 0,
        "offset": offset,
        "key": key,
        "value": value.to_json() if isinstance(value, Event) else value,
        "timestamp_ms": round(NOW.timestamp() * 1000) - 1000,
    }
    return Record(**(fields | changes))


def rounded(vectors: Sequence[Row] | None) -> list[list[float]]:
    """Vectors without the noise of 32-bit floats."""
    return [[round(value, 5) for value in numbers(row)] for row in vectors or []]


def picture(name: str) -> bytes:
    """A PNG of one colour, which is the name's own."""
    buffer = BytesIO()
    PILImage.new("RGB", (2, 2), colour(name)).save(buffer, "PNG")
    return buffer.getvalue()


def colour(name: str) -> tuple[int, int, int]:
    """Red, green and blue of the picture `name`."""
    red, green, blue = hashlib.sha256(name.encode()).digest()[:3]
    return red, green, blue


def colour_vector(name: str) -> list[float]:
    """What `FakeEncoder` makes of the picture `name`."""
    raw = [*colour(name), 255]
    norm = sum(value * value for value in raw) ** 0.5
    return [value / norm for value in raw]


class FakeEncoder:
    """An image tower that sees nothing but colour."""

    size = 4
    resize = "squash"
    dimension = DIMENSION

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.error: Exception | None = None

    def encode(self, pixels: Any) -> Any:
        self.batches.append(len(pixels))
        if self.error:
            raise self.error
        raw = np.concatenate([pixels[:, 0, 0].astype(np.float32), np.full((len(pixels), 1), 255, np.float32)], axis=1)
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)


class FakeFetcher:
    """Has every picture but those in `trouble`; a picture in `gates` waits for its event."""

    def __init__(self) -> None:
        self.trouble: dict[str, FetchError] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.bytes: dict[str, bytes] = {}
        self.requests: list[str] = []

    async def fetch(self, wanted: Image, room: Room | None = None, known: Known | None = None) -> Fetched:
        name = wanted.url.rsplit("/", 1)[-1]
        self.requests.append(name)
        if gate := self.gates.get(name):
            await gate.wait()
        if error := self.trouble.get(name):
            raise error
        if room:
            await room.acquire()
        data = self.bytes.get(name) or picture(name)
        return Fetched(data, f"sha256:{hashlib.sha256(data).hexdigest()}")

    async def __aenter__(self) -> FakeFetcher:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class FakeDeadLetters:
    """Keeps what it gets; while `gate` is set, nothing is durable."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.gate: asyncio.Event | None = None

    async def send(self, letter: DeadLetter) -> None:
        if self.gate:
            await self.gate.wait()
        self.letters.append(letter)


class FakeRetries:
    """Keeps what is parked."""

    def __init__(self) -> None:
        self.parked: list[tuple[Record, Journey, int]] = []

    async def park(self, record: Record, journey: Journey, first_seen_ms: int) -> None:
        self.parked.append((record, journey, first_seen_ms))
