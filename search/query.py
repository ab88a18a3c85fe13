"""What is asked of a view. Every function takes the client and the collection's name, and blocks."""

from __future__ import annotations

from qdrant_client import QdrantClient, models

from indexer.points import RANK_FIELDS, read_payload, read_stored
from indexer.wire import numbers
from schemas.canary import is_canary
from schemas.payloads import VECTOR_NAME, Payload, point_id
from search.filters import only_live
from search.models import Hit


def nearest(
    client: QdrantClient, view: str, vectors: list[list[float]], *, limit: int, matching: models.Filter, hnsw_ef: int
) -> list[Hit]:
    """The products whose pictures are most similar to `vectors`, shape (n, dimension); each product once."""
    found = client.query_points(
        view,
        query=vectors,
        using=VECTOR_NAME,
        limit=limit,
        query_filter=matching,
        search_params=models.SearchParams(hnsw_ef=hnsw_ef),
        with_payload=True,
    )
    return [Hit.model_validate({**(point.payload or {}), "score": point.score}) for point in found.points]


def held(client: QdrantClient, view: str, product_id: str) -> Payload | None:
    """What the view holds for a product, or None; the canary is no product."""
    return None if is_canary(product_id) else read_payload(client, view, product_id)


def similar(client: QdrantClient, view: str, product_id: str, *, limit: int, hnsw_ef: int) -> list[Hit] | None:
    """The products most similar to this one by its stored vectors; None if it isn't there or has none."""
    if is_canary(product_id):
        return None
    stored = read_stored(client, view, [product_id], fields=RANK_FIELDS, vectors=True).get(product_id)
    if stored is None or not stored.vectors:
        return None
    others = only_live(but=point_id(product_id))
    vectors = [numbers(row) for row in stored.vectors]
    return nearest(client, view, vectors, limit=limit, matching=others, hnsw_ef=hnsw_ef)
