"""Points written and read as gRPC messages, on the real server: the unit tests see Qdrant's local mode only."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient, grpc

from indexer.collections import ensure_view
from indexer.points import DECIDE_FIELDS, Point, Stored, read_payload, read_stored
from indexer.pooling import pooled
from indexer.store import QdrantSettings, Store
from indexer.wire import numbers
from indexer.writer import Written, write
from schemas.payloads import PRODUCT_VECTOR, VECTOR_NAME, point_id, revision_of
from tests.factories import DIMENSION, point, rounded, vector


@pytest.fixture
def store(stack_env: dict[str, str]) -> Iterator[Store]:
    url, port = stack_env["FRESHLINE_QDRANT_URL"], int(stack_env["FRESHLINE_QDRANT_GRPC_PORT"])
    opened = Store(QdrantSettings(url=url, grpc_port=port))
    yield opened
    opened.close()


@pytest.fixture
def view(store: Store) -> Iterator[str]:
    name = f"wire-{uuid4().hex[:12]}-1"
    store.run_sync(lambda client: ensure_view(client, name, DIMENSION, []))
    yield name
    store.run_sync(lambda client: client.delete_collection(name))


def read(client: QdrantClient, view: str, product_id: str = "p1") -> Stored:
    return read_stored(client, view, [product_id], fields=DECIDE_FIELDS, vectors=True)[product_id]


@pytest.mark.parametrize("images", ["a", "abc"])
def test_what_is_written_is_read_and_kept_rows_go_back_as_they_came(store: Store, view: str, images: str) -> None:
    def run(client: QdrantClient) -> None:
        first = point(version=1, images=images)
        assert write(client, view, [first]) == [Written.STORED]
        held = read(client, view)
        assert rounded(held.vectors) == rounded([vector(name) for name in images])
        assert held.encoded == tuple(first.payload.encoded_images)

        fresh = np.array(vector("z"), np.float32)
        payload = point(version=2, images=images[::-1] + "z").payload
        assert write(client, view, [Point(payload, [*reversed(held.vectors or []), fresh], 1)]) == [Written.STORED]

        again = read(client, view)
        assert again.rank == payload.rank
        assert rounded(again.vectors) == rounded([vector(name) for name in images[::-1] + "z"])
        (record,) = client.retrieve(view, [point_id("p1")], with_vectors=[VECTOR_NAME])
        assert isinstance(record.vector, dict)
        assert rounded(record.vector[VECTOR_NAME]) == rounded(again.vectors)  # type: ignore[arg-type]
        (record,) = client.retrieve(view, [point_id("p1")], with_vectors=[PRODUCT_VECTOR])
        assert isinstance(record.vector, dict)
        assert record.vector[PRODUCT_VECTOR] == pytest.approx(pooled(rounded(again.vectors)).tolist(), abs=1e-4)
        assert read_payload(client, view, "p1") == payload

    store.run_sync(run)


def test_a_tombstone_takes_the_vectors_away(store: Store, view: str) -> None:
    def run(client: QdrantClient) -> None:
        write(client, view, [point(version=1)])
        assert write(client, view, [point(version=2, read=1, deleted=True)]) == [Written.STORED]
        assert read(client, view).vectors == []
        assert client.query_points(view, query=[vector("a")], using=VECTOR_NAME, with_payload=False).points == []
        assert client.query_points(view, query=vector("a"), using=PRODUCT_VECTOR, with_payload=False).points == []
        assert write(client, view, [point(version=1, revision=9)]) == [Written.OVERTAKEN]

    store.run_sync(run)


def test_rows_are_read_as_messages_and_products_that_are_not_there_are_left_out(store: Store, view: str) -> None:
    def run(client: QdrantClient) -> None:
        write(client, view, [point("p1", revision=revision_of(3, 1))])
        found = read_stored(client, view, ["p0", "p1"], fields=["version", "revision"], vectors=True)
        assert found.keys() == {"p1"}
        (row,) = found["p1"].vectors or []
        assert isinstance(row, grpc.DenseVector)
        assert len(numbers(row)) == DIMENSION
        assert read_stored(client, view, ["p1"], fields=["version", "revision"])["p1"].vectors is None

    store.run_sync(run)


def test_each_point_of_a_request_passes_under_its_own_terms(store: Store, view: str) -> None:
    """Counters of many products, some of them overtaken, some new, some written again where they are."""
    held = [point(f"p{number}", 10 + number, images="a") for number in range(40)]
    newer = [point(f"p{number}", 11 + number, read=10 + number, images="b") for number in range(10)]
    older = [point(f"p{number}", 9 + number, read=8 + number, images="c") for number in range(10, 20)]
    fuller = [point(f"p{number}", 10 + number, 1, read=10 + number, images="b") for number in range(20, 30)]
    new = [point(f"n{number}", 1 + number, images="b") for number in range(10)]

    def run(client: QdrantClient) -> list[Written]:
        write(client, view, held)
        return write(client, view, [*newer, *older, *fuller, *new])

    outcomes = store.run_sync(run)

    assert outcomes == [Written.STORED] * 10 + [Written.OVERTAKEN] * 10 + [Written.STORED] * 20
    for expected in [*newer, *fuller, *new, *held[10:20], *held[30:]]:
        product = expected.payload.product_id
        found = store.run_sync(lambda client, product=product: read(client, view, product))  # type: ignore[misc]
        assert found.rank == expected.payload.rank
        assert rounded(found.vectors) == rounded(expected.vectors)
