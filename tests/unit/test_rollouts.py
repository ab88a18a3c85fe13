"""The aliases of a rollout, on Qdrant's local mode, and the judgements of its gate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from encoders.metrics import compare, quality
from freshline.rollout.comparison import Compared, Contender
from freshline.rollout.gate import Limits, failures, judge_freshness, judge_quality, judge_way_back
from freshline.rollout.progress import ViewProgress
from indexer.collections import ensure_view, view_name
from indexer.rollouts import Standing, previous_alias, standing, switch_views
from stream.monitor.state import Lane, LaneState

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

OLD, NEW = view_name("products", "0123456789ab", 1), view_name("products", "ffffffffffff", 2)


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    for view in (OLD, NEW, view_name("others", "0123456789ab", 1)):
        ensure_view(client, view, 3, [])
    yield client
    client.close()


def test_a_view_is_built_served_and_kept(client: QdrantClient) -> None:
    assert standing(client, "products") == Standing(None, None, (OLD, NEW))
    switch_views(client, "products", to=OLD, keep=None)
    assert standing(client, "products") == Standing(OLD, None, (NEW,))

    switch_views(client, "products", to=NEW, keep=OLD)
    assert standing(client, "products") == Standing(NEW, OLD, ())
    assert standing(client, "products").views == [NEW, OLD]
    switch_views(client, "products", to=NEW, keep=OLD)  # again
    assert standing(client, "products") == Standing(NEW, OLD, ())

    switch_views(client, "products", to=OLD, keep=None)
    assert standing(client, "products") == Standing(OLD, None, (NEW,))


def test_a_dropped_view_is_kept_no_more(client: QdrantClient) -> None:
    switch_views(client, "products", to=NEW, keep=OLD)
    client.delete_collection(OLD)
    assert standing(client, "products") == Standing(NEW, None, ())
    assert previous_alias("products") not in {entry.alias_name for entry in client.get_aliases().aliases}


def contender(ranks: list[float], p99_ms: float = 20.0) -> Contender:
    return Contender("view", "bundle@1", quality(ranks), 0, 5.0, p99_ms)


def compared(new: list[float], old: list[float], *, overlap: float = 1.0, p99_ms: float = 20.0) -> Compared:
    return Compared(contender(new, p99_ms), contender(old), compare(new, old), overlap)


def failed(found: Compared, limits: Limits) -> list[str]:
    return [each.split(":")[0] for each in failures(judge_quality(found, limits))]


GOOD, BAD = [1.0] * 100, [1.0] * 97 + [50.0] * 3


@pytest.mark.parametrize(
    ("found", "limits", "problems"),
    [
        (compared(GOOD, GOOD), Limits(), []),
        (compared(GOOD, BAD), Limits(margin=0), []),
        (compared(BAD, GOOD), Limits(), ["Recall@10", "MRR"]),
        (compared(BAD, GOOD), Limits(margin=0.05), []),
        (compared(GOOD, GOOD, overlap=0.4), Limits(), []),
        (compared(GOOD, GOOD, overlap=0.4), Limits(overlap=0.5), ["overlap"]),
        (compared(GOOD, GOOD, p99_ms=201), Limits(), ["latency"]),
    ],
)
def test_the_gate(found: Compared, limits: Limits, problems: list[str]) -> None:
    assert failed(found, limits) == problems


def lane(name: Lane, waits: float, members: int = 1) -> LaneState:
    return LaneState(
        lane=name,
        group=f"view.{name}",
        members=members,
        lag_events=int(waits),
        oldest_pending_seconds=waits,
        arrival_rate=1,
        work_rate=1,
        catch_up_seconds=0,
        partitions=[],
    )


def view(products: int = 1000, *, live: float = 1, retry: float = 0, members: int = 1) -> ViewProgress:
    lanes = {"live": lane("live", live, members), "retry": lane("retry", retry)}
    return ViewProgress("view", "building", products, None, lanes)


@pytest.mark.parametrize(
    ("building", "serving", "problems"),
    [
        (view(), view(), []),
        (view(999), view(), []),
        (view(998), view(), []),  # one event is on its way
        (view(997), view(), ["products"]),
        (view(live=11), view(), ["live lane"]),
        (view(members=0), view(), ["live lane"]),
        (view(live=11), view(live=20), ["live lane"]),
        (view(retry=100), view(), ["retry lane"]),
        (view(retry=100), view(retry=120), []),
        (ViewProgress("view", "building", 1000, None, {}), view(), ["live lane", "retry lane"]),
    ],
)
def test_a_view_must_be_fresh_and_whole(building: ViewProgress, serving: ViewProgress, problems: list[str]) -> None:
    found = failures(judge_freshness(building, serving, 10, Limits()))
    assert [each.split(":")[0] for each in found] == problems


def test_the_way_back_needs_a_view_that_was_fed() -> None:
    assert failures(judge_way_back(view(500, retry=1000), 10)) == []
    assert failures(judge_way_back(view(live=11), 10)) != []
    assert failures(judge_way_back(view(members=0), 10)) != []
