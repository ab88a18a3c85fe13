"""A request's filters as Qdrant's."""

from __future__ import annotations

import re

from qdrant_client import models

from schemas.canary import CANARY
from schemas.payloads import point_id
from search.models import AttributeFilter, SearchRequest

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")


def only_live(
    must: list[models.Condition] | None = None, *, but: str | None = None, canary: bool = False
) -> models.Filter:
    """Products that meet every condition and aren't deleted, without the point `but`.

    The canary is among them only for itself: this is the one place that keeps it from shoppers' searches.
    """
    must_not: list[models.Condition] = [models.FieldCondition(key="deleted", match=models.MatchValue(value=True))]
    hidden = [*([but] if but else []), *([] if canary else [point_id(CANARY)])]
    if hidden:
        must_not.append(models.HasIdCondition(has_id=list(hidden)))
    return models.Filter(must=must, must_not=must_not)


def filter_of(request: SearchRequest, *, canary: bool = False) -> models.Filter:
    """The filter that a search asks for; `canary`: it may find the canary."""
    must: list[models.Condition] = []
    for field, wanted in (("category", request.category), ("brand", request.brand)):
        if wanted is not None:
            must.append(_equals(field, wanted))
    if request.price_min is not None or request.price_max is not None:
        price = models.Range(gte=request.price_min, lte=request.price_max)
        must.append(models.FieldCondition(key="price", range=price))
    must += [_equals(_path(name), wanted) for name, wanted in request.attributes.items()]
    return only_live(must or None, canary=canary)


def _equals(key: str, wanted: AttributeFilter) -> models.FieldCondition:
    if isinstance(wanted, list):
        return models.FieldCondition(key=key, match=models.MatchAny(any=wanted))
    if isinstance(wanted, float):
        # Qdrant's match knows no floats, and its integers don't equal them.
        return models.FieldCondition(key=key, range=models.Range(gte=wanted, lte=wanted))
    return models.FieldCondition(key=key, match=models.MatchValue(value=wanted))


def facet_path(name: str) -> str:
    """Where a facet (`category`, `brand` or `attributes.NAME`) is in the payload."""
    attribute = name.partition(".")[2]
    return _path(attribute) if attribute else name


def _path(name: str) -> str:
    """Where an attribute is in the payload; quoted where the name would read as a path itself."""
    return f"attributes.{name}" if _PLAIN_NAME.fullmatch(name) else f'attributes."{name}"'
