"""Guarded writes: whole points, many in one request, and never over something newer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from qdrant_client import QdrantClient, models

from indexer.points import RANK_FIELDS, Point, read_stored
from indexer.wire import upsert

MAX_ROUNDS = 8

_ABSENT = models.IsEmptyCondition(is_empty=models.PayloadField(key="version"))


class Written(StrEnum):
    """What a write came to."""

    STORED = "stored"
    OVERTAKEN = "overtaken"  # the view holds something newer


class WriteContention(RuntimeError):
    """Points that were still not at their version after several rounds; the message names their products."""


def stab(points: Sequence[Point]) -> list[tuple[int, list[Point]]]:
    """Group points so that one term `version < threshold` serves each group: the fewest groups.

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
    waiting, passes = points, guard(points)
    for _ in range(MAX_ROUNDS):
        upsert(client, view, [(point.payload, point.vectors) for point in waiting], passes)
        outcomes = _read_back(client, view, points)
        waiting = [point for point in points if outcomes[point.payload.product_id] is None]
        if not waiting:
            return [outcome for outcome in outcomes.values() if outcome is not None]
        passes = _any(_not_past(point) for point in waiting)
    raise WriteContention(", ".join(point.payload.product_id for point in waiting))


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


def guard(points: Sequence[Point]) -> models.Filter:
    """What lets each point pass under its own terms, in one request: Qdrant checks terms, and few are cheap.

    A new version passes below its group's threshold; a rewrite at the version that was read passes by its revision.
    """
    groups = stab([point for point in points if point.payload.version > point.read_version])
    alone = [point for point in points if point.payload.version <= point.read_version]
    if len(groups) == 1 and not alone:
        return _any([_below(groups[0][0])])
    return _any([*(_only(group, _below(threshold)) for threshold, group in groups), *map(_not_past, alone)])


def _any(terms: Iterable[models.Condition]) -> models.Filter:
    return models.Filter(should=[_ABSENT, *terms])


def _only(points: Sequence[Point], term: models.Condition) -> models.Filter:
    return models.Filter(must=[models.HasIdCondition(has_id=[point.id for point in points]), term])


def _below(threshold: int) -> models.FieldCondition:
    return models.FieldCondition(key="version", range=models.Range(lt=threshold))


def _not_past(point: Point) -> models.Filter:
    """Passes for this point where the stored (version, revision) is not higher than its own."""
    version, revision = point.payload.rank
    same = models.FieldCondition(key="version", match=models.MatchValue(value=version))
    not_fuller = models.FieldCondition(key="revision", range=models.Range(lte=revision))
    lower_or_same = models.Filter(should=[_below(version), models.Filter(must=[same, not_fuller])])
    return _only([point], lower_or_same)
