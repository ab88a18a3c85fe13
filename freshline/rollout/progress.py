"""How far each view is: what it holds, how late it is, what it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry
from qdrant_client import QdrantClient, models

from freshline.monitoring import opened_monitor
from freshline.rollout.site import RolloutError, Site
from schemas.canary import CANARY
from schemas.payloads import VECTOR_NAME, point_id
from stream.monitor.state import LaneState, OpsState


@dataclass(frozen=True)
class ViewProgress:
    """A view at one moment."""

    name: str
    role: str
    """`serving`, `previous` or `building`."""
    products: int
    """That a search can find: neither deleted nor without a vector."""
    disk_bytes: int | None
    """None if Qdrant doesn't say."""
    lanes: Mapping[str, LaneState]

    def lane(self, name: str) -> LaneState | None:
        """One of its lanes, as far as it is known."""
        return self.lanes.get(name)

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        lanes = {name: lane.model_dump(exclude={"partitions"}) for name, lane in self.lanes.items()}
        return {
            "name": self.name,
            "role": self.role,
            "products": self.products,
            "disk_bytes": self.disk_bytes,
            "lanes": lanes,
        }


def look(site: Site) -> dict[str, ViewProgress]:
    """Every view, by name: the serving one first.

    Raises:
        RolloutError: what is late can't be found out; with the reason.
    """
    state = asyncio.run(_state(site))
    if state.problems:
        raise RolloutError("; ".join(state.problems))
    now = site.standing()
    roles = {now.serving: "serving", now.previous: "previous"}
    lanes = {view.name: {str(lane.lane): lane for lane in view.lanes} for view in state.views}
    return {
        view: ViewProgress(
            view,
            roles.get(view, "building"),
            site.store.run_sync(partial(count_products, view=view)),
            site.store.run_sync(partial(disk_bytes, view=view)),
            lanes.get(view, {}),
        )
        for view in now.views
    }


async def _state(site: Site) -> OpsState:
    with opened_monitor(site.settings, CollectorRegistry()) as monitor:
        return await monitor.once()


def count_products(client: QdrantClient, view: str) -> int:
    """The products that a search can find."""
    found = models.Filter(
        must=[models.HasVectorCondition(has_vector=VECTOR_NAME)],
        must_not=[
            models.FieldCondition(key="deleted", match=models.MatchValue(value=True)),
            models.HasIdCondition(has_id=[point_id(CANARY)]),
        ],
    )
    return client.count(view, count_filter=found, exact=True).count


def disk_bytes(client: QdrantClient, view: str) -> int | None:
    """What the view's segments take on the disks of the node that answers; None if it doesn't say."""
    telemetry = client.http.service_api.telemetry(details_level=4).result
    collections = telemetry.collections.collections if telemetry and telemetry.collections else None
    found = [each for each in collections or [] if isinstance(each, models.CollectionTelemetry) and each.id == view]
    shards = [shard.local for each in found for shard in each.shards or [] if shard.local]
    return sum(part.info.disk_usage_bytes for shard in shards for part in shard.segments or []) if shards else None
