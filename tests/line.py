"""A pipeline over a view of its own in Qdrant's local mode, between fakes of all that it uses."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, cast

from prometheus_client import CollectorRegistry

from encoders.session import ImageEncoder
from indexer.points import RANK_FIELDS, read_payload, read_stored
from indexer.store import Store
from schemas.dead_letters import Reason
from schemas.events import VersionScheme
from schemas.payloads import Payload
from stream.health import Health
from stream.images.fetcher import FetchError, ImageFetcher, Unavailable
from stream.limits import LimitSettings
from stream.metrics import Metrics
from stream.pipeline import Pipeline, PipelineSettings
from stream.stages import Stages, StageSettings
from stream.trail import Followed
from tests.factories import (
    NOW,
    VIEW,
    FakeDeadLetters,
    FakeEncoder,
    FakeFetcher,
    FakeRetries,
    colour_vector,
    event,
    record,
    rounded,
)

GONE = FetchError(Reason.IMAGE_MISSING, "http://images.test/x: HTTP 404")
ILL = Unavailable("http://images.test/x: HTTP 503")


@dataclass
class Line:
    """A pipeline over a view of its own, with its fakes at hand."""

    store: Store
    lane: str = "live"
    versions: VersionScheme = "counter"
    fetcher: FakeFetcher = field(default_factory=FakeFetcher)
    encoder: FakeEncoder = field(default_factory=FakeEncoder)
    letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    retries: FakeRetries = field(default_factory=FakeRetries)
    health: Health = field(default_factory=Health)
    limits: LimitSettings = field(default_factory=LimitSettings)
    followed: Followed = field(default_factory=Followed)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    async def open(self, exits: AsyncExitStack) -> Line:
        metrics = Metrics(self.registry, view=VIEW, lane=self.lane)
        stages = Stages(
            StageSettings(batch_pause=0),
            view=VIEW,
            store=self.store,
            fetcher=cast(ImageFetcher, self.fetcher),
            encoder=cast(ImageEncoder, self.encoder),
            metrics=metrics,
            health=self.health,
        )
        await exits.enter_async_context(stages)
        settings = PipelineSettings(VIEW, self.lane, self.versions, "1.2.3", limits=self.limits, followed=self.followed)
        self.pipeline = await exits.enter_async_context(
            Pipeline(settings, stages, self.letters, self.retries, metrics, clock=lambda: NOW)
        )
        return self

    async def put(self, version: int = 1, images: str = "a", *, offset: int | None = None, **changes: Any) -> str:
        context = {name: changes.pop(name) for name in ("headers", "topic") if name in changes}
        value = event(version, images, **changes)
        return await self.pipeline.process(record(value, offset=version if offset is None else offset, **context))

    def held(self, product_id: str = "p1") -> Payload | None:
        return self.store.run_sync(lambda client: read_payload(client, VIEW, product_id))

    def payload(self, product_id: str = "p1") -> Payload:
        payload = self.held(product_id)
        assert payload is not None
        return payload

    def vectors(self, product_id: str = "p1") -> list[list[float]]:
        found = self.store.run_sync(
            lambda client: read_stored(client, VIEW, [product_id], fields=RANK_FIELDS, vectors=True)
        )
        return rounded(found[product_id].vectors)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"freshline_{name}", labels) or 0.0

    def outcomes(self) -> dict[str, float]:
        return {
            sample.labels["outcome"]: sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "freshline_events_total"
        }

    def fresh(self, kind: str = "created") -> float:
        return self.value("freshness_seconds_count", view=VIEW, lane=self.lane, type=kind)


def seen(*names: str) -> list[list[float]]:
    return rounded([colour_vector(name) for name in names])


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # any change of any fake
            await asyncio.sleep(0.001)
