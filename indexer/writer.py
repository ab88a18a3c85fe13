"""Guarded writes: whole points, in as few requests as their versions allow, and never over something newer."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from qdrant_client import QdrantClient, models

from indexer.points import RANK_FIELDS, Point, read_stored
from indexer.wire import Whole, upsert

MAX_ROUNDS = 8


class Written(StrEnum):
    """What a write came to."""

    STORED = "stored"
    OVERTAKEN = "overtaken"  # the view holds something newer


class WriteContention(RuntimeError):
    """Points that were still not at their version after several rounds alone; the message names their products."""


def stab(points: Sequence[Point]) -> list[tuple[int, list[Point]]]:
    """Group points so that one guard `version < threshold` serves each group: the fewest groups.

    Each point asks for a threshold in (read_version, version]. Greedy interval stabbing, by right ends: Gavril 1972,
    "Algorithms for minimum coloring, maximum clique, ... of a chordal graph" (the interval case). Points whose version
    is not above the one that was read have no such threshold and must not be passed in.
    """
    groups: list[tuple[int, list[Point]]] = []
    for point in sorted(points, key=lambda point: point.payload.version):
        if groups and groups[-1][0] > point.read_version:
            groups[-1][1].append(point)
        else:
            groups.append((point.payload.version, [point]))
    return groups


def write(client: QdrantClient, view: str, points: Sequence[Point]) -> list[Written]:
    """Write each point unless the view holds something newer; durable and readable when this returns.

    Args:
        client: called synchronously.
        view: the collection, never an alias.
        points: at most one for each product.

    Raises:
        WriteContention: see there.
    """
    assert len({point.id for point in points}) == len(points), "two writes of one product in a batch"
    together = [point for point in points if point.payload.version > point.read_version]
    alone = [point for point in points if point.payload.version <= point.read_version]
    for threshold, group in stab(together):
        upsert(client, view, _whole(group), below(threshold))
    for _ in range(MAX_ROUNDS):
        for point in alone:
            upsert(client, view, _whole([point]), not_past(*point.payload.rank))
        outcomes = _read_back(client, view, points)
        alone = [point for point in points if outcomes[point.payload.product_id] is None]
        if not alone:
            return [outcome for outcome in outcomes.values() if outcome is not None]
    raise WriteContention(", ".join(point.payload.product_id for point in alone))


def _whole(points: Sequence[Point]) -> list[Whole]:
    return [(point.payload, point.vectors) for point in points]


def _read_back(client: QdrantClient, view: str, points: Sequence[Point]) -> dict[str, Written | None]:
    """In the order of `points`; None where the view is not yet at the point's rank: the guard kept it out."""
    stored = read_stored(client, view, [point.payload.product_id for point in points], fields=RANK_FIELDS)
    outcomes: dict[str, Written | None] = {}
    for point in points:
        held = stored.get(point.payload.product_id)
        if held is None or held.rank < point.payload.rank:
            outcomes[point.payload.product_id] = None
        else:
            outcomes[point.payload.product_id] = (
                Written.STORED if held.rank == point.payload.rank else Written.OVERTAKEN
            )
    return outcomes


def below(threshold: int) -> models.Filter:
    """Passes where the stored version is absent or lower than `threshold`."""
    return models.Filter(should=[_absent(), _field("version", models.Range(lt=threshold))])


def not_past(version: int, revision: int) -> models.Filter:
    """Passes where the stored (version, revision) is absent or not higher."""
    same = models.Filter(
        must=[
            models.FieldCondition(key="version", match=models.MatchValue(value=version)),
            _field("revision", models.Range(lte=revision)),
        ]
    )
    return models.Filter(should=[_absent(), _field("version", models.Range(lt=version)), same])


def _absent() -> models.IsEmptyCondition:
    return models.IsEmptyCondition(is_empty=models.PayloadField(key="version"))


def _field(key: str, interval: models.Range) -> models.FieldCondition:
    return models.FieldCondition(key=key, range=interval)
