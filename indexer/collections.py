"""Views: one collection for each model and serial number, and the alias that says which of them shoppers see."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

from qdrant_client import QdrantClient, models

from schemas.payloads import PRODUCT_VECTOR, VECTOR_NAME

_VIEW_NAME = re.compile(r"^(?P<alias>.+)-(?P<space>[0-9a-f]{12})-(?P<serial>\d+)$")

INDEXES: dict[str, models.PayloadSchemaType] = {
    "product_id": models.PayloadSchemaType.KEYWORD,
    "version": models.PayloadSchemaType.INTEGER,
    "revision": models.PayloadSchemaType.INTEGER,
    "category": models.PayloadSchemaType.KEYWORD,
    "brand": models.PayloadSchemaType.KEYWORD,
    "price": models.PayloadSchemaType.FLOAT,
    "deleted": models.PayloadSchemaType.BOOL,
    "indexed_at": models.PayloadSchemaType.DATETIME,
}
"""Payload fields that every view has an index of."""


# Chosen by `freshline bench layouts` (docs/benchmarks.md): products are found by one vector each, in a graph, and the
# best of them are judged by all of their pictures, which need none.
GRAPH = models.HnswConfigDiff(m=16, ef_construct=100)
NO_GRAPH = models.HnswConfigDiff(m=0)

# What Qdrant takes by itself on eight cores and more. On two it keeps two segments, so that each new one is soon merged
# with most of the view, and its graph built anew (docs/benchmarks.md, `freshline bench freshness`).
OPTIMIZERS = models.OptimizersConfigDiff(default_segment_number=8)


class ViewError(RuntimeError):
    """A view that is missing or of another model than expected; the message says what to do."""


def view_name(alias: str, space: str, serial: int) -> str:
    """The collection's name: `products-<space>-<serial>` where the alias is `products`."""
    return f"{alias}-{space}-{serial}"


def space_of(view: str) -> str:
    """The vector space that a view's name carries.

    Raises:
        ViewError: the name is not one that `view_name` makes.
    """
    match = _VIEW_NAME.match(view)
    if match is None:
        raise ViewError(f"collection {view!r} is not named <alias>-<space>-<serial>")
    return match["space"]


def serving_view(client: QdrantClient, alias: str) -> str | None:
    """The collection that `alias` names, or None while there is none."""
    aliases = client.get_aliases().aliases
    return next((entry.collection_name for entry in aliases if entry.alias_name == alias), None)


@dataclass(frozen=True)
class View:
    """A collection that the alias names, or might."""

    name: str
    space: str
    serving: bool
    points: int | None
    """None if Qdrant doesn't say."""


def list_views(client: QdrantClient, alias: str) -> list[View]:
    """Every view of `alias`: the one that it names first, then by name."""
    serving = serving_view(client, alias)
    names = [entry.name for entry in client.get_collections().collections]
    matches = {name: match for name in names if (match := _VIEW_NAME.match(name))}
    views = [
        View(name, match["space"], name == serving, client.get_collection(name).points_count)
        for name, match in matches.items()
        if name == serving or match["alias"] == alias
    ]
    return sorted(views, key=lambda view: (not view.serving, view.name))


def find_view(client: QdrantClient, alias: str, view: str | None) -> str:
    """The collection to work on: `view` if given, else what `alias` names.

    Raises:
        ViewError: there is none yet.
    """
    name = view or serving_view(client, alias)
    if name is None:
        raise ViewError(f"no view: the alias {alias!r} names no collection yet; run `freshline setup` first")
    if not client.collection_exists(name):
        raise ViewError(f"the collection {name!r} does not exist; run `freshline setup` first")
    return name


def resolve_view(client: QdrantClient, alias: str, view: str | None, space: str) -> str:
    """The same for one bundle.

    Raises:
        ViewError: there is none yet, or it is of another space than the bundle's `space`.
    """
    name = find_view(client, alias, view)
    if space_of(name) != space:
        raise ViewError(f"the bundle is of the space {space}, but the collection {name!r} is not: FRESHLINE_BUNDLE?")
    return name


def ensure_view(client: QdrantClient, name: str, dimension: int, attributes: list[str]) -> bool:
    """Create the collection and its payload indexes where they are missing; True if the collection is new."""
    created = not client.collection_exists(name)
    if created:
        client.create_collection(
            name,
            optimizers_config=OPTIMIZERS,
            vectors_config={
                PRODUCT_VECTOR: models.VectorParams(size=dimension, distance=models.Distance.COSINE, hnsw_config=GRAPH),
                VECTOR_NAME: models.VectorParams(
                    size=dimension,
                    distance=models.Distance.COSINE,
                    multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
                    hnsw_config=NO_GRAPH,
                ),
            },
        )
    fields = _indexes(attributes)
    present = client.get_collection(name).payload_schema
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Payload indexes have no effect")  # local mode needs none, and says so
        for field, schema in fields.items():
            if field not in present:
                client.create_payload_index(name, field, field_schema=schema, wait=True)
    return created


def view_problems(client: QdrantClient, name: str, dimension: int, attributes: list[str]) -> list[str]:
    """Where a collection is not as `ensure_view` makes it; a missing index can be added, the rest cannot be changed."""
    info = client.get_collection(name)
    vectors = info.config.params.vectors
    named = vectors if isinstance(vectors, dict) else {}
    params, product = named.get(VECTOR_NAME), named.get(PRODUCT_VECTOR)
    if params is None or product is None:
        return [f"there is no vector {(VECTOR_NAME if params is None else PRODUCT_VECTOR)!r}"]
    comparator = params.multivector_config.comparator if params.multivector_config else None
    wanted = [
        ("size", params.size, dimension),
        ("distance", params.distance, models.Distance.COSINE),
        ("multivector comparator", comparator, models.MultiVectorComparator.MAX_SIM),
        (f"size of {PRODUCT_VECTOR!r}", product.size, dimension),
        (f"distance of {PRODUCT_VECTOR!r}", product.distance, models.Distance.COSINE),
    ]
    problems = [f"{field} is {_word(found)}, not {_word(right)}" for field, found, right in wanted if found != right]
    schema = {field: entry.data_type for field, entry in info.payload_schema.items()}
    for field, right in _indexes(attributes).items():
        if schema.get(field) != right:
            problems.append(
                f"the payload index of {field} is {_word(schema.get(field) or 'missing')}, not {right.value}"
            )
    return problems


def _indexes(attributes: list[str]) -> dict[str, models.PayloadSchemaType]:
    return INDEXES | {f"attributes.{name}": models.PayloadSchemaType.KEYWORD for name in attributes}


def _word(value: object) -> str:
    return str(getattr(value, "value", value))


def point_alias(client: QdrantClient, alias: str, view: str) -> None:
    """Make `alias` name `view`, in one step for whoever is searching."""
    changes: list[models.AliasOperations] = []
    if serving_view(client, alias) is not None:
        changes.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
    create = models.CreateAlias(collection_name=view, alias_name=alias)
    changes.append(models.CreateAliasOperation(create_alias=create))
    client.update_collection_aliases(change_aliases_operations=changes)
