"""The ways to keep several pictures of one product in Qdrant that `freshline bench layouts` compares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import NAMESPACE_URL, uuid5

from qdrant_client import QdrantClient, models

from freshline.bench.clustered import Clustered, payload
from freshline.bench.recall import Asked
from indexer.collections import INDEXES
from indexer.pooling import pooled
from schemas.payloads import point_id

PICTURES, SINGLE = "images", "product"
ONCE = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True))
LIVE = models.FieldCondition(key="deleted", match=models.MatchValue(value=True))


class Way(Protocol):
    """How products are kept and asked for."""

    def create(self, client: QdrantClient, name: str, dimension: int) -> None:
        """Make the collection and its payload indexes."""

    def points(self, data: Clustered, numbers: Iterable[int]) -> list[models.PointStruct]:
        """These products."""

    def search(self, client: QdrantClient, name: str, asked: Asked) -> list[str]:
        """The ids of the products whose best picture is nearest."""


@dataclass(frozen=True)
class Graph:
    """Of HNSW, and how its vectors are kept."""

    m: int = 16
    ef_construct: int = 100
    payload_m: int | None = None
    """Links of the further graphs that are made for indexed payload fields; None: as `m`."""
    quantized: bool = False
    scanned_kb: int | None = None
    """What meets a filter is looked at without the graph up to so many kB of vectors; None: Qdrant's 10,000. A smaller
    one shows with few products what a large index does."""

    def hnsw(self) -> models.HnswConfigDiff:
        """As Qdrant takes it."""
        return models.HnswConfigDiff(
            m=self.m,
            ef_construct=self.ef_construct,
            payload_m=self.payload_m,
            full_scan_threshold=self.scanned_kb,
        )

    def quantization(self) -> models.ScalarQuantization | None:
        """As Qdrant takes it."""
        return ONCE if self.quantized else None


def _create(client: QdrantClient, name: str, vectors: dict[str, models.VectorParams], graph: Graph) -> None:
    client.create_collection(name, vectors_config=vectors, hnsw_config=graph.hnsw())
    for field, schema in INDEXES.items():
        client.create_payload_index(name, field, field_schema=schema, wait=True)


def _multi(dimension: int, graph: Graph) -> models.VectorParams:
    return models.VectorParams(
        size=dimension,
        distance=models.Distance.COSINE,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
        hnsw_config=graph.hnsw(),
        quantization_config=graph.quantization(),
    )


def _single(dimension: int, graph: Graph) -> models.VectorParams:
    return models.VectorParams(
        size=dimension,
        distance=models.Distance.COSINE,
        hnsw_config=graph.hnsw(),
        quantization_config=graph.quantization(),
    )


def _params(ef: int, *, acorn: bool = False, quantized: bool = False) -> models.SearchParams:
    return models.SearchParams(
        hnsw_ef=ef,
        acorn=models.AcornSearchParams(enable=True) if acorn else None,
        quantization=models.QuantizationSearchParams(rescore=True, oversampling=2.0) if quantized else None,
    )


def _fields(number: int) -> dict[str, Any]:
    return payload(number).model_dump(mode="json")


def _live(matching: models.Filter | None) -> models.Filter:
    return models.Filter(must=matching.must if matching else None, must_not=[LIVE])


@dataclass(frozen=True)
class MaxSim:
    """All pictures in one multivector with a graph of its own."""

    graph: Graph = Graph()
    acorn: bool = False

    def create(self, client: QdrantClient, name: str, dimension: int) -> None:
        """One vector."""
        _create(client, name, {PICTURES: _multi(dimension, self.graph)}, self.graph)

    def points(self, data: Clustered, numbers: Iterable[int]) -> list[models.PointStruct]:
        """One a product."""
        return [
            models.PointStruct(
                id=point_id(f"product-{number}"),
                vector={PICTURES: data.rows(number)},
                payload=_fields(number),
            )
            for number in numbers
        ]

    def search(self, client: QdrantClient, name: str, asked: Asked) -> list[str]:
        """By the multivector."""
        found = client.query_points(
            name,
            query=[asked.vector],
            using=PICTURES,
            limit=asked.limit,
            query_filter=_live(asked.matching),
            search_params=_params(asked.ef, acorn=self.acorn, quantized=self.graph.quantized),
            with_payload=True,
        )
        return [each.payload["product_id"] for each in found.points if each.payload]


@dataclass(frozen=True)
class Rescored:
    """One vector a product with a graph, the mean of its pictures' or the first; the best are judged by all."""

    graph: Graph = Graph()
    pooled: bool = True
    acorn: bool = False
    most: int = 100
    """That are judged by all pictures."""

    def create(self, client: QdrantClient, name: str, dimension: int) -> None:
        """Two vectors; the multivector has no graph."""
        none = Graph(m=0)
        _create(client, name, {SINGLE: _single(dimension, self.graph), PICTURES: _multi(dimension, none)}, self.graph)

    def points(self, data: Clustered, numbers: Iterable[int]) -> list[models.PointStruct]:
        """One a product."""
        return [
            models.PointStruct(
                id=point_id(f"product-{number}"),
                vector={
                    PICTURES: data.rows(number),
                    SINGLE: pooled(data.rows(number)).tolist() if self.pooled else data.rows(number)[0],
                },
                payload=_fields(number),
            )
            for number in numbers
        ]

    def search(self, client: QdrantClient, name: str, asked: Asked) -> list[str]:
        """By the one vector, then by all."""
        first = models.Prefetch(
            query=asked.vector,
            using=SINGLE,
            limit=max(self.most, asked.limit),
            filter=_live(asked.matching),
            params=_params(asked.ef, acorn=self.acorn, quantized=self.graph.quantized),
        )
        found = client.query_points(
            name, prefetch=first, query=[asked.vector], using=PICTURES, limit=asked.limit, with_payload=True
        )
        return [each.payload["product_id"] for each in found.points if each.payload]


@dataclass(frozen=True)
class Grouped:
    """A point for each picture; the best of each product."""

    graph: Graph = Graph()
    acorn: bool = False

    def create(self, client: QdrantClient, name: str, dimension: int) -> None:
        """One vector."""
        _create(client, name, {SINGLE: _single(dimension, self.graph)}, self.graph)

    def points(self, data: Clustered, numbers: Iterable[int]) -> list[models.PointStruct]:
        """One a picture."""
        return [
            models.PointStruct(
                id=str(uuid5(NAMESPACE_URL, f"{number}/{row}")),
                vector={SINGLE: vector},
                payload=_fields(number),
            )
            for number in numbers
            for row, vector in enumerate(data.rows(number))
        ]

    def search(self, client: QdrantClient, name: str, asked: Asked) -> list[str]:
        """By groups."""
        found = client.query_points_groups(
            name,
            group_by="product_id",
            query=asked.vector,
            using=SINGLE,
            limit=asked.limit,
            group_size=1,
            query_filter=_live(asked.matching),
            search_params=_params(asked.ef, acorn=self.acorn, quantized=self.graph.quantized),
            with_payload=True,
        )
        return [str(each.id) for each in found.groups]


WAYS: dict[str, Way] = {
    "multivector": MaxSim(),
    "multivector, no payload links": MaxSim(Graph(payload_m=0)),
    "pooled, rescored": Rescored(Graph(payload_m=0)),
    "first, rescored": Rescored(Graph(payload_m=0), pooled=False),
    "picture a point": Grouped(Graph(payload_m=0)),
    "multivector, m 24, ef_c 200": MaxSim(Graph(m=24, ef_construct=200, payload_m=0)),
    "multivector, int8": MaxSim(Graph(payload_m=0, quantized=True)),
    "multivector, acorn": MaxSim(Graph(payload_m=0), acorn=True),
    "pooled, all links": Rescored(Graph()),
    "pooled, acorn": Rescored(Graph(payload_m=0), acorn=True),
    "pooled, m 24, ef_c 200": Rescored(Graph(m=24, ef_construct=200, payload_m=0)),
    "pooled, int8": Rescored(Graph(payload_m=0, quantized=True)),
    "pooled, 300 rescored": Rescored(Graph(payload_m=0), most=300),
    "pooled, all links, 1 MB scanned": Rescored(Graph(scanned_kb=1000)),
    "pooled, acorn, 1 MB scanned": Rescored(Graph(payload_m=0, scanned_kb=1000), acorn=True),
}
