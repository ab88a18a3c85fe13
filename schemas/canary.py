"""The canary: a product of Freshline's own that goes through the whole path again and again, and is nobody's to see."""

from __future__ import annotations

CANARY = "freshline-canary"
"""Its product id, which no catalogue may use."""


def is_canary(product_id: str | None) -> bool:
    """Whether this is the canary's id."""
    return product_id == CANARY
