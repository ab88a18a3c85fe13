"""Points as they travel: read and written as gRPC messages, without the client's own models in between.

Those models turn each vector into Python floats and back, which is most of what a write costs; here a vector that is
kept goes back as the very message that it came in. Qdrant's local mode has no wire, and takes the models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from qdrant_client import QdrantClient, grpc, models
from qdrant_client.conversions.conversion import RestToGrpc, payload_to_grpc

from indexer.pooling import pooled
from schemas.payloads import PRODUCT_VECTOR, VECTOR_NAME, EncodedImage, Payload, point_id

Row = Any
"""One vector of shape (dimension,), L2-normalised: a sequence or an array of floats, or the message it was read in."""

Whole = tuple[Payload, Sequence[Row]]
"""A point to be written: its payload, and one row for each of the payload's encoded images."""


class Found(NamedTuple):
    """A point as it was read; `rows` is empty where it has no vectors, or they were not asked for."""

    id: str
    version: int
    revision: int
    encoded: tuple[EncodedImage, ...]
    rows: list[Row]


def numbers(row: Row) -> list[float]:
    """The floats of a row."""
    if isinstance(row, grpc.DenseVector):
        return list(row.data)
    return row.tolist() if isinstance(row, np.ndarray) else list(row)


def get(
    client: QdrantClient, view: str, ids: Sequence[str], *, fields: Sequence[str], vectors: bool
) -> Iterator[Found]:
    """These points as far as they exist, in one request, with these fields of their payloads."""
    if _is_local(client):
        named = [VECTOR_NAME] if vectors else False
        yield from map(_found, client.retrieve(view, ids, with_payload=list(fields), with_vectors=named))
        return
    include = grpc.PayloadIncludeSelector(fields=fields)
    rows = grpc.WithVectorsSelector(include=grpc.VectorsSelector(names=[VECTOR_NAME]))
    request = grpc.GetPoints(
        collection_name=view,
        ids=[grpc.PointId(uuid=each) for each in ids],
        with_payload=grpc.WithPayloadSelector(include=include),
        with_vectors=rows if vectors else grpc.WithVectorsSelector(enable=False),
    )
    yield from map(_read, client.grpc_points.Get(request, timeout=_timeout(client)).result)


def upsert(client: QdrantClient, view: str, points: Sequence[Whole], guard: models.Filter) -> None:
    """Write whole points where `guard` lets them; durable and readable when this returns."""
    if _is_local(client):
        client.upsert(view, [_model(*point) for point in points], update_filter=guard, wait=True)
        return
    request = upsert_request(view, points)
    request.update_filter.CopyFrom(RestToGrpc.convert_filter(guard))
    client.grpc_points.Upsert(request, timeout=_timeout(client))


def upsert_request(view: str, points: Sequence[Whole]) -> grpc.UpsertPoints:
    """These points as one message, without a guard: sent as it is, it would overwrite whatever the view holds."""
    request = grpc.UpsertPoints(collection_name=view, wait=True)
    for payload, rows in points:
        _add(request, payload, rows)
    return request


def _add(request: grpc.UpsertPoints, payload: Payload, rows: Sequence[Row]) -> None:
    """In place: a message that is put into another one is copied."""
    fields = payload_to_grpc(payload.model_dump(mode="json"))
    message = request.points.add(id=grpc.PointId(uuid=point_id(payload.product_id)), payload=fields)
    if not rows:
        message.vectors.SetInParent()  # none, which is not the same as leaving them as they are
        message.vectors.vectors.SetInParent()
        return
    messages = [row if isinstance(row, grpc.DenseVector) else grpc.DenseVector(data=numbers(row)) for row in rows]
    vectors = message.vectors.vectors.vectors
    vectors[VECTOR_NAME].multi_dense.vectors.extend(messages)
    if len(rows) == 1:
        vectors[PRODUCT_VECTOR].dense.CopyFrom(messages[0])
    else:
        vectors[PRODUCT_VECTOR].dense.data.extend(_pooled(rows))


def _model(payload: Payload, rows: Sequence[Row]) -> models.PointStruct:
    fields = payload.model_dump(mode="json")
    return models.PointStruct(id=point_id(payload.product_id), payload=fields, vector=named_vectors(rows))


def named_vectors(rows: Sequence[Row]) -> dict[str, Any]:
    """A point's vectors as the client takes them; none for no rows."""
    if not rows:
        return {}
    return {VECTOR_NAME: [numbers(row) for row in rows], PRODUCT_VECTOR: _pooled(rows)}


def _pooled(rows: Sequence[Row]) -> list[float]:
    mean: list[float] = pooled([row.data if isinstance(row, grpc.DenseVector) else row for row in rows]).tolist()
    return mean


def _found(record: models.Record) -> Found:
    payload, named = record.payload or {}, record.vector if isinstance(record.vector, dict) else {}
    encoded = tuple(EncodedImage.model_validate(entry) for entry in payload.get("encoded_images", []))
    return Found(str(record.id), payload["version"], payload["revision"], encoded, list(named.get(VECTOR_NAME, [])))


def _read(point: grpc.RetrievedPoint) -> Found:
    payload = point.payload
    encoded = payload["encoded_images"].list_value.values if "encoded_images" in payload else ()
    version, revision = payload["version"].integer_value, payload["revision"].integer_value
    return Found(point.id.uuid, version, revision, tuple(map(_encoded, encoded)), _rows(point.vectors))


def _encoded(value: grpc.Value) -> EncodedImage:
    fields = value.struct_value.fields
    return EncodedImage(url=fields["url"].string_value, digest=fields["digest"].string_value)


def _rows(vectors: grpc.VectorsOutput) -> list[Row]:
    """The rows of our multivector, whichever way the server's version sends them."""
    found = vectors.vectors.vectors
    if VECTOR_NAME not in found:
        return []
    output = found[VECTOR_NAME]
    if output.HasField("multi_dense"):
        return list(output.multi_dense.vectors)
    if output.vectors_count == 1:
        row = grpc.DenseVector()
        row.data.MergeFrom(output.data)  # as a whole: no float becomes a Python object
        return [row]
    length = len(output.data) // output.vectors_count
    return [grpc.DenseVector(data=output.data[start : start + length]) for start in range(0, len(output.data), length)]


def _is_local(client: QdrantClient) -> bool:
    return client.init_options["location"] is not None  # a server is given by its URL


def _timeout(client: QdrantClient) -> float | None:
    seconds: float | None = client.init_options["timeout"]
    return seconds
