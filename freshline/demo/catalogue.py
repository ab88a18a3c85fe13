"""What the demo's shop sells, and the events that say so."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

from schemas.events import Event, Product


class CatalogueError(ValueError):
    """A catalogue that can't be used at all; the message names the file, and the line and column where there is one."""


@dataclass(frozen=True)
class Item:
    """A product, and its picture below the image root."""

    product: Product
    picture: Path


@dataclass
class Catalogue:
    """Items by their product ids."""

    items: dict[str, Item] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """What could not be used: where, which field, why."""


def change(kind: Literal["created", "updated", "deleted"], product_id: str, product: Product | None = None) -> Event:
    """An event that occurs now."""
    return Event(
        event_id=str(uuid.uuid4()), type=kind, product_id=product_id, occurred_at=datetime.now(UTC), product=product
    )


def cheaper(product: Product) -> Product:
    """The product at a fifth less; one without a price gets one."""
    price = (product.price * Decimal("0.8")).quantize(Decimal("0.01")) if product.price else Decimal("19.90")
    return product.model_copy(update={"price": price, "currency": product.currency or "EUR"})
