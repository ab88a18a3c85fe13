from __future__ import annotations

from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient, models

from indexer.collections import (
    ViewError,
    ensure_view,
    point_alias,
    resolve_view,
    serving_view,
    space_of,
    view_name,
)
from schemas.payloads import PRODUCT_VECTOR, VECTOR_NAME

SPACE = "0123456789ab"
OTHER = "ba9876543210"


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    opened = QdrantClient(location=":memory:")
    yield opened
    opened.close()


def test_a_view_name_tells_its_space() -> None:
    assert view_name("products", SPACE, 3) == "products-0123456789ab-3"
    assert space_of("products-0123456789ab-3") == SPACE


def test_an_alias_may_have_hyphens() -> None:
    assert space_of(view_name("my-shop-2", SPACE, 12)) == SPACE


@pytest.mark.parametrize(
    "name", ["products", "products-0123456789ab", "products-0123456789AB-1", "-0123456789ab-1", ""]
)
def test_a_name_of_another_make_is_an_error(name: str) -> None:
    with pytest.raises(ViewError, match="not named"):
        space_of(name)


def test_a_new_view_has_a_vector_for_the_product_and_one_for_its_pictures(
    client: QdrantClient,
) -> None:
    assert ensure_view(client, "products-0123456789ab-1", 8, []) is True

    vectors = client.get_collection("products-0123456789ab-1").config.params.vectors
    assert isinstance(vectors, dict)
    assert set(vectors) == {VECTOR_NAME, PRODUCT_VECTOR}
    assert (vectors[PRODUCT_VECTOR].size, vectors[PRODUCT_VECTOR].distance) == (8, models.Distance.COSINE)
    assert vectors[PRODUCT_VECTOR].multivector_config is None
    params = vectors[VECTOR_NAME]
    assert (params.size, params.distance) == (8, models.Distance.COSINE)
    assert params.multivector_config == models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)


def test_an_existing_view_is_left_as_it_is(client: QdrantClient) -> None:
    ensure_view(client, "products-0123456789ab-1", 8, [])
    client.upsert("products-0123456789ab-1", [models.PointStruct(id=1, payload={}, vector={})])

    assert ensure_view(client, "products-0123456789ab-1", 8, []) is False
    assert client.count("products-0123456789ab-1").count == 1


def test_the_alias_names_nothing_at_first(client: QdrantClient) -> None:
    assert serving_view(client, "products") is None


def test_the_alias_moves_from_view_to_view(client: QdrantClient) -> None:
    for serial in (1, 2):
        ensure_view(client, view_name("products", SPACE, serial), 8, [])
        point_alias(client, "products", view_name("products", SPACE, serial))

    assert serving_view(client, "products") == "products-0123456789ab-2"
    assert len(client.get_aliases().aliases) == 1


def test_a_view_is_resolved_by_its_alias(client: QdrantClient) -> None:
    ensure_view(client, "products-0123456789ab-1", 8, [])
    point_alias(client, "products", "products-0123456789ab-1")

    assert resolve_view(client, "products", None, SPACE) == "products-0123456789ab-1"


def test_a_view_that_is_named_is_taken_whatever_the_alias_names(client: QdrantClient) -> None:
    for serial in (1, 2):
        ensure_view(client, view_name("products", SPACE, serial), 8, [])
    point_alias(client, "products", "products-0123456789ab-1")

    assert resolve_view(client, "products", "products-0123456789ab-2", SPACE) == "products-0123456789ab-2"


def test_without_a_view_the_error_says_what_to_run(client: QdrantClient) -> None:
    with pytest.raises(ViewError, match="freshline setup"):
        resolve_view(client, "products", None, SPACE)


def test_a_view_that_does_not_exist_is_an_error(client: QdrantClient) -> None:
    with pytest.raises(ViewError, match="does not exist"):
        resolve_view(client, "products", "products-0123456789ab-9", SPACE)


def test_a_bundle_of_another_space_is_refused(client: QdrantClient) -> None:
    ensure_view(client, "products-0123456789ab-1", 8, [])

    with pytest.raises(ViewError, match=OTHER):
        resolve_view(client, "products", "products-0123456789ab-1", OTHER)
