"""What is asked of a view. Every function takes the client and the collection's name, and blocks."""

from __future__ import annotations

from dataclasses import dataclass, field

from qdrant_client import QdrantClient, models

from indexer.points import RANK_FIELDS, read_payload, read_stored
from indexer.pooling import pooled
from indexer.wire import numbers
from schemas.canary import is_canary
from schemas.payloads import PRODUCT_VECTOR, VECTOR_NAME, Payload, point_id
from search.filters import facet_path, only_live
from search.models import FacetValue, Hit
from search.problems import unprocessable

CANDIDATES = 100
"""Products that are judged by all of their pictures, at least."""
FACET_VALUES = 20
"""Of each facet, at most."""


@dataclass(frozen=True)
class Page:
    """Which of the most similar products are wanted."""

    limit: int = 10
    offset: int = 0
    min_score: float | None = None


@dataclass(frozen=True)
class Found:
    """The products, and the counts that were asked for."""

    hits: list[Hit]
    facets: dict[str, list[FacetValue]] = field(default_factory=dict)


def nearest(
    client: QdrantClient, view: str, vectors: list[list[float]], *, page: Page, matching: models.Filter, hnsw_ef: int
) -> list[Hit]:
    """The products whose pictures are most similar to `vectors`, shape (n, dimension); each product once.

    Candidates are found by one vector for each product, in a graph; what is returned is ranked by all of its pictures.
    Qdrant's MaxSim is a sum over the rows of `vectors`: scores are their mean, so that they stay cosines.
    """
    candidates = max(CANDIDATES, page.offset + page.limit)
    first = models.Prefetch(
        query=pooled(vectors).tolist(),
        using=PRODUCT_VECTOR,
        limit=candidates,
        filter=matching,
        params=models.SearchParams(hnsw_ef=max(hnsw_ef, candidates)),
    )
    found = client.query_points(
        view,
        prefetch=first,
        query=vectors,
        using=VECTOR_NAME,
        limit=page.limit,
        offset=page.offset,
        score_threshold=None if page.min_score is None else page.min_score * len(vectors),
        with_payload=True,
    )
    return [Hit.model_validate({**(each.payload or {}), "score": each.score / len(vectors)}) for each in found.points]


def searched(
    client: QdrantClient,
    view: str,
    vectors: list[list[float]],
    *,
    page: Page,
    matching: models.Filter,
    facets: list[str],
    hnsw_ef: int,
) -> Found:
    """The nearest products, and of each facet how many products have each of its most frequent values.

    Raises:
        Problem: 422, the view has no payload index of a facet.
    """
    counted = {name: _facet(client, view, name, matching) for name in facets}
    return Found(nearest(client, view, vectors, page=page, matching=matching, hnsw_ef=hnsw_ef), counted)


def _facet(client: QdrantClient, view: str, name: str, matching: models.Filter) -> list[FacetValue]:
    try:
        found = client.facet(view, key=facet_path(name), facet_filter=matching, limit=FACET_VALUES)
    except Exception as error:
        if "index for faceting" in str(error):
            raise unprocessable("facets", f"{name} has no index: FRESHLINE_INDEXED_ATTRIBUTES of this view") from None
        raise
    return [FacetValue(value=each.value, count=each.count) for each in found.hits]


def held(client: QdrantClient, view: str, product_id: str) -> Payload | None:
    """What the view holds for a product, or None; the canary is no product."""
    return None if is_canary(product_id) else read_payload(client, view, product_id)


def similar(client: QdrantClient, view: str, product_id: str, *, page: Page, hnsw_ef: int) -> list[Hit] | None:
    """The products most similar to this one by its stored vectors; None if it isn't there or has none."""
    if is_canary(product_id):
        return None
    stored = read_stored(client, view, [product_id], fields=RANK_FIELDS, vectors=True).get(product_id)
    if stored is None or not stored.vectors:
        return None
    others = only_live(but=point_id(product_id))
    vectors = [numbers(row) for row in stored.vectors]
    return nearest(client, view, vectors, page=page, matching=others, hnsw_ef=hnsw_ef)
