"""Requests and responses of the HTTP API."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
    field_validator,
)
from pydantic.config import JsonDict
from pydantic_core import from_json

Text = Annotated[str, Field(min_length=1, max_length=1024)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1024)]
Price = Annotated[FiniteFloat, Field(ge=0)]
Limit = Annotated[int, Field(ge=1, le=100, description="how many products at most")]
Offset = Annotated[int, Field(ge=0, le=1000, description="how many of the most similar products to leave out")]
# Of a blend, or of several pictures, too: all of them are means of cosines.
MinScore = Annotated[FiniteFloat, Field(ge=-1, le=1, description="products below this score are left out")]
# Qdrant's paths can't hold these two, quoted or not.
AttributeName = Annotated[str, Field(pattern=r'^[^"\\]{1,64}$')]
FacetName = Annotated[str, Field(pattern=r'^(category|brand|attributes\.[^"\\]{1,64})$')]
AttributeFilter = Text | StrictBool | FiniteFloat | Annotated[list[Text], Field(min_length=1, max_length=64)]


class SearchRequest(BaseModel):
    """A search, in whichever form it came."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Words | None = Field(None, description="words, alone or beside a picture; needs a bundle with a text tower")
    image: bytes | None = None
    text_weight: Annotated[FiniteFloat, Field(ge=0, le=1)] = Field(
        0.5, description="of the words beside a picture: 0 is the picture alone, 1 the words alone"
    )
    limit: Limit = 10
    offset: Offset = 0
    min_score: MinScore | None = None
    category: Text | None = None
    brand: Text | None = None
    price_min: Price | None = Field(None, description="in the products' own currencies")
    price_max: Price | None = None
    attributes: dict[AttributeName, AttributeFilter] = Field(
        default_factory=dict,
        max_length=16,
        description="each must have this value, or one of those in a list",
        examples=[{"color": ["red", "orange"], "waterproof": True}],
    )
    facets: list[FacetName] = Field(
        default_factory=list,
        max_length=8,
        description="to count the products that meet the filters by: category, brand, or attributes.NAME",
        examples=[["brand", "attributes.color"]],
    )


def _from_base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None


Base64Image = Annotated[
    bytes, BeforeValidator(_from_base64), WithJsonSchema({"type": "string", "contentEncoding": "base64"})
]


class JsonSearch(SearchRequest):
    """The body of a search in JSON."""

    image: Base64Image | None = Field(None, alias="image_base64")


class FormSearch(SearchRequest):
    """The fields of a search as multipart form."""

    image: Annotated[bytes, Field(strict=True)] | None = Field(None, description="a file")

    @field_validator("attributes", mode="before")
    @classmethod
    def _attributes_from_json(cls, value: Any) -> Any:
        return from_json(value) if isinstance(value, str) else value

    @field_validator("facets", mode="before")
    @classmethod
    def _facets_from_names(cls, value: Any) -> Any:
        return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


class FormListing(BaseModel):
    """The fields of a product to be listed, as multipart form."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    title: Annotated[str, Field(min_length=1, max_length=200)]
    image: Annotated[bytes, Field(strict=True)] = Field(description="a file")


class Listed(BaseModel):
    """A product that was handed to the index: `searchable` as soon as a search can find it."""

    product_id: str
    searchable: bool


class Hit(BaseModel):
    """A product that was found.

    `score` is the cosine of what was asked for and its most similar picture; for `similar`, the mean over the pictures
    of the product that was asked for.
    """

    product_id: str
    score: float
    title: str | None = None
    category: str | None = None
    brand: str | None = None
    price: float | None = None
    currency: str | None = None
    image_urls: list[str] = []
    occurred_at: datetime
    indexed_at: datetime
    version: int


_RESPONSE: JsonDict = {
    "results": [
        {
            "product_id": "mug-17",
            "score": 0.93,
            "title": "Striped mug",
            "category": "mugs",
            "brand": "Acme",
            "price": 12.5,
            "currency": "EUR",
            "image_urls": ["https://cdn.example/mug-17.jpg"],
            "occurred_at": "2026-11-23T12:00:00Z",
            "indexed_at": "2026-11-23T12:00:02Z",
            "version": 1795435200000000,
        }
    ],
    "facets": {"brand": [{"value": "Acme", "count": 212}]},
    "took_ms": 9.8,
    "view": "products-0123456789ab-1",
    "bundle": "freshline-drawn@1.20",
}


class FacetValue(BaseModel):
    """How many products have a value."""

    value: bool | int | str
    count: int


class SearchResponse(BaseModel):
    """The products, most similar first, with what found them."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RESPONSE]})

    results: list[Hit]
    facets: dict[str, list[FacetValue]] = Field(
        {}, description="of each that was asked for its most frequent values, among all products that meet the filters"
    )
    took_ms: float = Field(description="without the time that the upload took")
    view: str = Field(description="the collection that was searched")
    bundle: str = Field(description="the model, as name@revision")


class Health(BaseModel):
    """That the service runs, or is ready."""

    status: str
    view: str | None = None
    bundle: str | None = None
