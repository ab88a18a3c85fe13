"""How far each view is: what it holds, how late it is, what it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry
from qdrant_client import QdrantClient, models

from freshline.monitoring import opened_monitor
from freshline.rollout.site import RolloutError, Site
from freshline.rollout.volume import data_bytes
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
    data_bytes: int | None
    """Of vectors and payloads; None if Qdrant doesn't say."""
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
            "data_bytes": self.data_bytes,
            "lanes": lanes,
        }


@contextmanager
def looking(site: Site) -> Iterator[Callable[[], dict[str, ViewProgress]]]:
    """What looks, again and again with the same connections, at every view: by name, the serving one first.

    A look takes two seconds, since it measures rates. It raises RolloutError: what is late can't be found out.
    """
    with opened_monitor(site.settings, CollectorRegistry()) as monitor, asyncio.Runner() as runner:
        yield lambda: _views(site, runner.run(monitor.once()))


def _views(site: Site, state: OpsState) -> dict[str, ViewProgress]:
    if state.problems:
        raise RolloutError("; ".join(state.problems))
    now = site.standing()
    roles = {now.serving: "serving", now.previous: "previous"}
    sizes = _sizes(site)
    lanes = {view.name: {str(lane.lane): lane for lane in view.lanes} for view in state.views}
    return {
        view: ViewProgress(
            view,
            roles.get(view, "building"),
            site.store.run_sync(partial(count_products, view=view)),
            sizes.get(view),
            lanes.get(view, {}),
        )
        for view in now.views
    }


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


def _sizes(site: Site) -> dict[str, int]:
    try:
        return data_bytes(site.settings)
    except (OSError, LookupError, TypeError, ValueError):  # a key may not be allowed to ask: the rest is known
        return {}
