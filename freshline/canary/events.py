"""What the canary publishes."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Literal

from schemas.canary import CANARY
from schemas.events import Event, Image, Product, VersionScheme


class Versions:
    """Each higher than all before it, whatever was before this process.

    The clock gives them in both schemes: where versions are counters, in milliseconds, which no counter's limit minds,
    so that nothing has to be remembered between two runs.
    """

    def __init__(self, scheme: VersionScheme) -> None:
        self._scheme = scheme
        self._last = 0

    def next(self, above: int = 0) -> int:
        """The next one, past `above` too: the clock may have been set back."""
        now = time.time_ns() // (1000 if self._scheme == "timestamp" else 1_000_000)
        self._last = max(now, self._last + 1, above + 1)
        return self._last


def listing(kind: Literal["created", "updated"], version: int, url: str) -> Event:
    """The canary, as it is at this version."""
    return _event(kind, version, Product(title=title_of(kind, version), category="canary", images=[Image(url=url)]))


def withdrawal(version: int) -> Event:
    """The canary is gone."""
    return _event("deleted", version, None)


def title_of(kind: str, version: int) -> str:
    """What tells the two listings of a round apart."""
    return f"Freshline canary, {kind} at {version}"


def _event(kind: Literal["created", "updated", "deleted"], version: int, product: Product | None) -> Event:
    return Event(
        event_id=f"canary-{uuid.uuid4()}",
        type=kind,
        product_id=CANARY,
        version=version,
        occurred_at=datetime.now(UTC),
        product=product,
    )
