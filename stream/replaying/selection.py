"""Which events a replay takes: pure, and small enough to be remembered beside its cursor."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.events import Event
from stream.reconcile.reading import Spans

_SPAN = re.compile(r"(\d{1,9}):(\d{0,18})-(\d{0,18})", re.ASCII)


class SelectionError(ValueError):
    """A selection that can't be; the message names the option."""


class Span(BaseModel):
    """Offsets of one partition, from `start` until before `end`; None: its first, and as many as there are."""

    model_config = ConfigDict(frozen=True)

    partition: int
    start: int | None = None
    end: int | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """`PARTITION:FROM-TO`; what is left out is the partition's first offset, or its end.

        Raises:
            SelectionError: it is not that.
        """
        match = _SPAN.fullmatch(text.strip())
        if match is None:
            raise SelectionError(f"{text!r} is not PARTITION:FROM-TO (3:100-200, 3:100-)")
        start, end = (int(digits) if digits else None for digits in match.groups()[1:])
        if start is not None and end is not None and start >= end:
            raise SelectionError(f"{text!r} holds no offset: TO is the one after the last")
        return cls(partition=int(match[1]), start=start, end=end)

    def __str__(self) -> str:
        start, end = ("" if each is None else each for each in (self.start, self.end))
        return f"{self.partition}:{start}-{end}"


class Selection(BaseModel):
    """All that is named must hold; nothing named is the whole topic."""

    model_config = ConfigDict(frozen=True)

    view: str | None = None
    """The only view that the events are meant for; None for all."""
    force: bool = False
    """Encode again what is encoded already."""
    since: datetime | None = None
    """Appended to the topic then or later."""
    until: datetime | None = None
    """Appended before."""
    offsets: tuple[Span, ...] = ()
    products: tuple[str, ...] = Field(default=())
    """Sorted; none for all."""
    category: str | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        partitions = [span.partition for span in self.offsets]
        if len(set(partitions)) < len(partitions):
            raise SelectionError("--offsets: a partition is named twice")
        if self.since and self.until and self.since >= self.until:
            raise SelectionError("--since is not before --until")
        return self

    @property
    def filters(self) -> bool:
        """Whether the events themselves must be looked at to know."""
        return bool(self.products) or self.category is not None

    def digest(self) -> str:
        """Tells it from any other."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()

    def as_json(self) -> str:
        """All of it, always in the same words."""
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True, separators=(",", ":"))

    def options(self) -> str:
        """As the command takes it; many products are only counted."""
        words = ["--force"] * self.force + ["--all-views"] * (self.view is None)
        words += [f"--since {self.since.isoformat()}"] if self.since else []
        words += [f"--until {self.until.isoformat()}"] if self.until else []
        words += [f"--offsets {span}" for span in self.offsets]
        words += [f"--category {shlex.quote(self.category)}"] if self.category is not None else []
        if len(self.products) > 5:
            words.append(f"--products <a file of {len(self.products)}>")
        else:
            words += [f"--product {shlex.quote(each)}" for each in self.products]
        narrowed = self.filters or self.offsets or self.since or self.until
        return " ".join([*words, *([] if narrowed else ["--all"])])


class Matcher:
    """Tells which records a selection takes, apart from where they stand."""

    def __init__(self, selection: Selection) -> None:
        self._products = {each.encode() for each in selection.products}
        self._category = selection.category

    def key(self, key: bytes | None) -> bool:
        """Whether the record's product is meant."""
        return not self._products or key in self._products

    def event(self, event: Event | None) -> bool:
        """Whether the event is; None where there is no valid one. A deleted product is in no category."""
        if self._category is None:
            return True
        return event is not None and event.product is not None and event.product.category == self._category


def spans(
    selection: Selection,
    bounds: Spans,
    since: Mapping[int, int] | None = None,
    until: Mapping[int, int] | None = None,
) -> dict[int, tuple[int, int]]:
    """Where to read, by partition.

    Args:
        selection: what is meant.
        bounds: of the topic.
        since: by partition, the first offset at or after the selection's `since`.
        until: likewise of its `until`.

    Raises:
        SelectionError: it names a partition that there isn't.
    """
    named = {span.partition: span for span in selection.offsets}
    if unknown := sorted(named.keys() - bounds.keys()):
        raise SelectionError(f"--offsets: there is no partition {', '.join(map(str, unknown))}")
    found = {}
    for number, (low, high) in bounds.items():
        span = named.get(number)
        if named and span is None:
            continue
        first = max(low, (span and span.start) or low, (since or {}).get(number, low))
        last = min(high, high if span is None or span.end is None else span.end, (until or {}).get(number, high))
        if first < last:
            found[number] = (first, last)
    return found
