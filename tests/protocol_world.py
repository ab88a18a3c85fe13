"""The real code in a played world: random schedules from one seed, and what must hold at their end.

Workers are real pipelines over real views in Qdrant; pictures, dead letters and Kafka are played, in one thread, so
that a schedule that fails fails again. Products are created, changed, deleted, published twice and in the wrong order;
the log is compacted; a second view is built from what is left of it, and the alias goes from one to the other; events
are parked, replayed, diverted, forced and redriven; workers die between any two stages, or go on as zombies.
`tests/protocol_model.py` is the same as a model of the rules.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar, cast

from prometheus_client import CollectorRegistry
from qdrant_client import QdrantClient

from encoders.session import ImageEncoder
from indexer.collections import ensure_view
from indexer.compose import Encoded
from indexer.points import RANK_FIELDS, read_payload, read_stored
from indexer.store import Store
from schemas.dead_letters import DeadLetter, Reason
from schemas.events import Event, Image, VersionScheme, read_event
from schemas.headers import ATTEMPTS, BULK, FIRST_SEEN, FORCE, LANE, VIEW, Headers, Source
from schemas.payloads import Payload, revision_of
from stream.health import Health
from stream.images.fetcher import ImageFetcher
from stream.intake import Intake
from stream.metrics import Metrics
from stream.offsets import Partition
from stream.pipeline import Pipeline, PipelineSettings, milliseconds
from stream.records import Journey, Record
from stream.stages import Ended, ImageFailure, Stages, StageSettings
from tests.factories import DIMENSION, NOW, FakeEncoder, FakeFetcher, digest, event, rounded, vector

LANES = {
    lane: Partition(f"catalog.{name}", 0)
    for lane, name in [("live", "events"), ("retry", "retry"), ("replay", "replay")]
}
VIEWS = ("products-0123456789ab-1", "products-0123456789ab-2")
TIMESTAMP = 1_780_000_000_000_000
"""The first version where versions are timestamps."""

T = TypeVar("T")


async def linger(chance: random.Random) -> None:
    """Let others go first: mostly for a moment, now and then for long, as a zombie does."""
    for _ in range(chance.choice([0, 0, 1, 2, 5, 60])):
        await asyncio.sleep(0)


class InlineStore(Store):
    """Calls Qdrant on the event loop's own thread, after and before some lingering."""

    def __init__(self, chance: random.Random, client: QdrantClient) -> None:
        self._chance = chance
        self.client = client

    async def run(self, operation: Callable[[QdrantClient], T]) -> T:
        await linger(self._chance)
        result = operation(self.client)
        await linger(self._chance)
        return result


class PlayedStages(Stages):
    """The real deciding and writing; each picture is as its host is at the moment."""

    def __init__(self, world: World, view: str) -> None:
        super().__init__(
            StageSettings(decide_batch=3, write_batch=3, batch_pause=0),
            view=view,
            store=world.store,
            fetcher=cast(ImageFetcher, FakeFetcher()),
            encoder=cast(ImageEncoder, FakeEncoder()),
            metrics=world.metrics,
            health=Health(),
        )
        self._world = world

    async def image(
        self, image: Image, *, force: bool = False, ended: Ended = lambda _: None
    ) -> Encoded | ImageFailure:
        del force, ended
        await linger(self._world.chance)
        name = image.url[-1]
        state = self._world.hosts.get(name, "ok")
        if state == "ok":
            return Encoded(digest(name), vector(name))
        reason = Reason.IMAGE_UNAVAILABLE if state == "ill" else Reason.IMAGE_MISSING
        return ImageFailure(image, reason, f"{image.url}: {state}", "fetch")


@dataclass
class View:
    """A collection, what its groups have committed, and its dead letters."""

    world: World
    name: str
    committed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LANES, 0))
    letters: dict[bytes, DeadLetter] = field(default_factory=dict)

    async def send(self, letter: DeadLetter) -> None:
        await linger(self.world.chance)
        self.letters[letter.record_key] = letter

    async def park(self, record: Record, journey: Journey, first_seen_ms: int) -> None:
        """Some come back with their budget spent."""
        await linger(self.world.chance)
        spent = self.world.chance.random() < 0.2
        self.world.again(
            "retry",
            record,
            journey.source,
            {VIEW: self.name.encode(), LANE: journey.lane.encode(), ATTEMPTS: b"%d" % (journey.attempts + 1)}
            | {FIRST_SEEN: b"%d" % (1 if spent else first_seen_ms)}
            | ({FORCE: b"1"} if journey.force else {}),
        )

    def reported(self, offset: int, *reasons: Reason) -> bool:
        mine = [letter for letter in self.letters.values() if letter.offset == offset]
        return any(not reasons or letter.reason in reasons for letter in mine)


class Worker:
    """One process: an intake and a pipeline. As a zombie it works on, but nothing of its is committed any more."""

    def __init__(self, view: View, lane: str) -> None:
        self.view = view
        self.world = view.world
        self.lane = lane
        self.position = view.committed[lane]
        self.zombie = False
        self.serving = VIEWS[0]
        """As it was when this worker last asked."""
        self._exits = AsyncExitStack()
        self._accepting: asyncio.Task[None] | None = None

    async def start(self) -> Worker:
        stages = await self._exits.enter_async_context(PlayedStages(self.world, self.view.name))
        settings = PipelineSettings(self.view.name, self.lane, self.world.scheme, retry_budget=timedelta(hours=1))
        pipeline = Pipeline(
            settings, stages, self.view, self.view, self.world.metrics, diversion=self, clock=lambda: NOW
        )
        await self._exits.enter_async_context(pipeline)
        self.intake = Intake(pipeline.process, max_in_flight=4)
        return self

    def takes(self, record: Record) -> bool:
        return self.lane == "live" and BULK in record.headers and self.serving == self.view.name

    async def divert(self, record: Record, journey: Journey) -> None:
        await linger(self.world.chance)
        self.world.operations["divert"] += 1
        self.world.again("replay", record, journey.source, {VIEW: self.view.name.encode()})

    def consume(self) -> None:
        topic = self.world.topics[self.lane]
        while self.lane == "live" and self.position in self.world.compacted:
            self.position += 1
        if self.position < len(topic) and (self._accepting is None or self._accepting.done()):
            taken = topic[self.position]
            self.position += 1
            self._accepting = asyncio.create_task(self.intake.accept(taken, is_current=lambda: True))

    def commit(self) -> None:
        offsets = self.intake.frontier.committable()
        if offsets and not self.zombie:
            self.view.committed[self.lane] = offsets[LANES[self.lane]]
            self.intake.frontier.committed(offsets)

    @property
    def at_rest(self) -> bool:
        waiting = self._accepting is not None and not self._accepting.done()
        return not waiting and not self.intake.in_flight and self.position >= len(self.world.topics[self.lane])

    async def crash(self) -> None:
        """Everything in flight is cancelled wherever it is."""
        await self.intake.close(0)
        await self._exits.aclose()
        if self._accepting:
            await self._accepting


class World:
    """The topics, the image hosts, the views and their workers.

    Args:
        seed: everything is drawn from it; product names begin with it, so that schedules may share a collection.
        client: with both of `VIEWS`.
        scheme: what versions are.
    """

    def __init__(self, seed: int, client: QdrantClient, scheme: VersionScheme) -> None:
        self.chance = random.Random(seed)
        self.scheme: VersionScheme = scheme
        count = self.chance.choice([1, 2, 6])  # few for races over one, many for losses
        self.products = [f"{seed}-p{number}" for number in range(count)]
        self.store = InlineStore(self.chance, client)
        self.metrics = Metrics(CollectorRegistry(), view=VIEWS[0], lane="live")
        self.topics: dict[str, list[Record]] = {lane: [] for lane in LANES}
        self.compacted: set[int] = set()
        self.hosts: dict[str, str] = {}
        self.views: list[View] = []
        self.workers: list[Worker] = []
        self.serving = VIEWS[0]
        self.clock = 0
        self.operations: Counter[str] = Counter()

    # --- what happens ---

    def publish(self) -> None:
        self.clock += 1
        log, roll, product = self.topics["live"], self.chance.random(), self.chance.choice(self.products)
        version = max(1, self.clock - self.chance.randrange(1, 6)) if roll < 0.25 else self.clock
        images = "" if roll > 0.85 else "".join(self.chance.sample("abcde", self.chance.randint(1, 3)))
        kind = "delete" if not images else "update" if any(r.key == product.encode() for r in log) else "create"
        value: bytes | None = event(self.version(version), images, product_id=product).to_json()
        if log and roll < 0.1:
            before = self.chance.choice(log)
            kind, product, value = "duplicate", (before.key or b"").decode(), before.value
        elif version < self.clock:
            kind = "late"
        elif not images and self.scheme == "timestamp" and self.chance.random() < 0.5:
            kind, value = "null", None
        self.operations[kind] += 1
        headers: Headers = {BULK: b"1"} if self.chance.random() < 0.2 else {}
        appended = self.version(self.clock) // 1000
        log.append(Record(*LANES["live"], len(log), product.encode(), value, appended, headers))

    def version(self, number: int) -> int:
        """Whole milliseconds apart where versions are timestamps: null values have no finer ones."""
        return number if self.scheme == "counter" else TIMESTAMP + 1000 * number

    def again(self, lane: str, record: Record, source: Source, headers: Headers) -> None:
        self.operations["park" if lane == "retry" else "force" if FORCE in headers else "replay"] += 1
        topic = self.topics[lane]
        now = milliseconds(NOW)
        topic.append(Record(*LANES[lane], len(topic), record.key, record.value, now, source.headers() | dict(headers)))

    def replay(self) -> None:
        left = [record for record in self.topics["live"] if record.offset not in self.compacted]
        if left:
            record = self.chance.choice(left)
            force: Headers = {FORCE: b"1"} if self.chance.random() < 0.5 else {}
            self.again("replay", record, Source(0, record.offset, record.timestamp_ms), force)

    def redrive(self, view: View, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            self.operations["redrive"] += 1
            record = Record(letter.topic, 0, letter.offset, letter.key, letter.value, 0)
            source = Source(letter.partition, letter.offset, letter.timestamp_ms)
            self.again("replay", record, source, {VIEW: view.name.encode(), ATTEMPTS: b"%d" % letter.attempts})

    def compact(self) -> None:
        self.operations["compact"] += 1
        old = self.topics["live"][: self.chance.randrange(len(self.topics["live"]) + 1)]
        newest = {record.key: record.offset for record in old}
        self.compacted |= {record.offset for record in old if newest[record.key] != record.offset}

    def change_a_host(self) -> None:
        self.operations["host"] += 1
        self.hosts[self.chance.choice("abcde")] = self.chance.choice(["ok", "ill", "ill", "gone"])

    def switch(self, worker: Worker) -> None:
        """The alias names a view, the other one perhaps, or a worker learns which."""
        if self.chance.random() < 0.4:
            self.serving = self.chance.choice(self.views).name
        else:
            worker.serving = self.serving

    async def build(self) -> None:
        """Another view, from the earliest offset of each topic."""
        view = View(self, VIEWS[len(self.views)])
        self.views.append(view)
        self.workers += [await Worker(view, lane).start() for lane in LANES]

    async def replace(self, worker: Worker, *, crash: bool) -> None:
        """Another worker starts at what was committed; the old one is dead, or believes that it still owns all."""
        self.operations["crash" if crash else "zombie"] += 1
        if crash:
            self.workers.remove(worker)
            await worker.crash()
        if not worker.zombie:
            worker.zombie = True
            self.workers.append(await Worker(worker.view, worker.lane).start())

    async def step(self) -> None:  # a table of what happens how often
        roll, worker, view = self.chance.random(), self.chance.choice(self.workers), self.chance.choice(self.views)
        if roll < 0.14:
            self.publish()
        elif roll < 0.18:
            self.change_a_host()
        elif roll < 0.20:
            self.replay()
        elif roll < 0.21 and view.letters:
            self.redrive(view, [self.chance.choice(list(view.letters.values()))])
        elif roll < 0.22:
            self.compact()
        elif roll < 0.23 and len(self.views) < len(VIEWS):
            await self.build()
        elif roll < 0.28:
            await self.replace(worker, crash=roll < 0.26 or len(self.workers) > 10)
        elif roll < 0.75:
            (worker.consume if self.chance.random() < 0.6 else worker.commit)()
        elif roll < 0.80:
            self.switch(worker)
        else:
            await linger(self.chance)

    # --- a run ---

    async def run(self, steps: int) -> list[str]:
        await self.build()
        try:
            for _ in range(steps):
                await self.step()
            self.hosts = {name: "ok" if state == "ill" else state for name, state in self.hosts.items()}
            await self.rest()
            found = [problem for view in self.views for problem in self.unreported(view)]
            for view in self.views:
                self.redrive(view, list(view.letters.values()))
            await self.rest()
            return found + [problem for view in self.views for problem in self.violations(view)]
        finally:
            for worker in self.workers:
                await worker.crash()

    async def rest(self) -> None:
        for _ in range(200_000):
            for worker in self.workers:
                worker.consume()
                worker.commit()
            if all(worker.at_rest for worker in self.workers):
                return
            await asyncio.sleep(0)
        raise AssertionError("it does not come to rest")

    # --- what was promised ---

    def best(self) -> Iterator[tuple[str, Event, int]]:
        """Each product's newest event and its offset. Not where a late lower version had compaction erase it."""
        for product in self.products:
            log = [record for record in self.topics["live"] if record.key == product.encode()]
            events = [(read_event(r.key, r.value, r.timestamp_ms, self.scheme, NOW), r.offset) for r in log]
            best = max(events, key=lambda pair: (pair[0].version, pair[1]), default=None)
            if best and best[1] not in self.compacted:
                yield product, *best

    def unreported(self, view: View) -> Iterator[str]:
        """At rest, before anything is redriven: what an event lacks is in a dead letter."""
        for product, best, offset in self.best():
            payload = self.payload(view, product)
            had = [entry.url for entry in payload.encoded_images] if payload else []
            lacks = [image.url for image in best.images if image.url not in had]
            if lacks and not view.reported(offset):
                yield f"{product}: {lacks} of the event at {offset} are missing in {view.name} and nobody says so"

    def violations(self, view: View) -> Iterator[str]:
        for lane, topic in self.topics.items():
            gone = self.compacted if lane == "live" else set()
            if {record.offset for record in topic[view.committed[lane] :]} - gone:
                yield f"{view.name}, {lane}: committed {view.committed[lane]} of {len(topic)}"
        for product, best, offset in self.best():
            yield from (f"{view.name}, {product}: {problem}" for problem in self.problems(view, product, best, offset))

    def problems(self, view: View, product: str, best: Event, offset: int) -> Iterator[str]:
        payload = self.payload(view, product)
        if payload is None or (payload.version, payload.offset) != (best.version, offset):
            yield f"not the newest event: {payload} instead of version {best.version} at {offset}"
            return
        if payload.deleted != best.deleted:
            yield "deleted or resurrected"
            return
        held = read_stored(self.store.client, view.name, [product], fields=RANK_FIELDS, vectors=True)[product]
        names, wanted = [entry.url[-1] for entry in payload.encoded_images], [image.url[-1] for image in best.images]
        if rounded(held.vectors) != rounded([vector(name) for name in names]):
            yield "vectors of other images than the payload says"
        if not view.reported(offset, Reason.IMAGE_MISSING):
            if names != wanted:
                yield f"images {names} instead of {wanted}"
            if payload.revision != revision_of(offset, len(wanted)):
                yield f"revision {payload.revision} with {len(wanted)} images"

    def payload(self, view: View, product: str) -> Payload | None:
        return read_payload(self.store.client, view.name, product)


def make_views(client: QdrantClient) -> None:
    """Both views, empty."""
    for name in VIEWS:
        client.delete_collection(name)
        ensure_view(client, name, DIMENSION, [])


def play(client: QdrantClient, seed: int, operations: Counter[str]) -> list[str]:
    """One schedule; what it did is added to `operations`.

    Returns:
        What does not hold at its end.
    """
    world = World(seed, client, "timestamp" if seed % 2 else "counter")
    found = asyncio.run(world.run(world.chance.choice([60, 120, 240])))
    operations.update(world.operations)
    return found
