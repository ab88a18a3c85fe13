"""Which column of a row each field of the event is taken from, and a row as the event that lists its product."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from schemas.dead_letters import Reason
from schemas.events import Event, InvalidEvent, parse_event

Row = Mapping[str, Any]

PLAIN = ("title", "category", "brand", "price", "currency")
FIELDS = ("product_id", *PLAIN, "images", "attributes", "version", "occurred_at")
_ATTRIBUTE = "attributes."


class MapError(ValueError):
    """A `--map` that can't be followed; the message names it."""


def read_map(options: Iterable[str]) -> dict[str, str]:
    """`field=column` as a dictionary by field; fields are those of `FIELDS` and `attributes.NAME`.

    Raises:
        MapError: one is no such pair, or names an unknown field or one twice.
    """
    found: dict[str, str] = {}
    for option in options:
        name, equals, column = option.partition("=")
        if not equals or not name or not column:
            raise MapError(f"--map {option}: must be FIELD=COLUMN")
        if name not in FIELDS and not (name.startswith(_ATTRIBUTE) and name != _ATTRIBUTE):
            raise MapError(f"--map {option}: {name!r} is none of {', '.join(FIELDS)}, attributes.NAME")
        if name in found:
            raise MapError(f"--map {option}: {name} is mapped already")
        found[name] = column
    return found


@dataclass(frozen=True)
class Columns:
    """How rows are read. A field that is not mapped is taken from the column of its own name, where there is one."""

    mapped: Mapping[str, str] = field(default_factory=dict)
    separator: str = " "
    """Between the pictures' URLs where they are one text."""

    def event(self, row: Row, now: datetime | None = None) -> Event:
        """The event that lists the product; its id tells that the same content came before.

        Args:
            row: a text of no length means that there is none.
            now: when it occurred, unless the row says so.

        Raises:
            InvalidEvent: fields are missing or wrong, each named with its column.
        """
        found = {name: value for name in self._names(row) if (value := row.get(self.column(name))) not in ("", None)}
        product: dict[str, Any] = {name: found[name] for name in PLAIN if name in found}
        product["attributes"] = self._attributes(found)
        product["images"] = self._images(found.get("images"))
        body: dict[str, Any] = {"type": "created", "product_id": _text(found.get("product_id")), "product": product}
        body["occurred_at"] = found.get("occurred_at") or (now or datetime.now(UTC)).isoformat()
        if "version" in found:
            body["version"] = _number(found["version"])
        body["event_id"] = _event_id(body["product_id"], product, found.get("version"))
        try:
            return parse_event(json.dumps({name: value for name, value in body.items() if value is not None}))
        except InvalidEvent as error:
            raise InvalidEvent(error.reason, self._named(str(error))) from None

    def column(self, name: str) -> str:
        """Where a field is found."""
        return self.mapped.get(name, name)

    def _names(self, row: Row) -> list[str]:
        taken = set(self.mapped.values())
        own = [name for name in row if name.startswith(_ATTRIBUTE) and name not in taken]
        return list(dict.fromkeys([*FIELDS, *self.mapped, *own]))

    def _attributes(self, found: Row) -> Any:
        whole = found.get("attributes", {})
        single = {name.removeprefix(_ATTRIBUTE): found[name] for name in found if name.startswith(_ATTRIBUTE)}
        return whole | single if isinstance(whole, dict) else whole

    def _images(self, value: Any) -> Any:
        if isinstance(value, str):
            value = [url.strip() for url in value.split(self.separator or None) if url.strip()]
        if isinstance(value, list):
            return [{"url": image} if isinstance(image, str) else image for image in value]
        return value or []

    def _named(self, message: str) -> str:
        """The problems under the row's own names: `title (column name): …`."""
        return "; ".join(self._problem(problem.removeprefix("product.")) for problem in message.split("; "))

    def _problem(self, problem: str) -> str:
        place = problem.partition(":")[0]
        for name, column in self.mapped.items():
            if place == name or place.startswith(f"{name}."):
                return f"{place} (column {column}){problem[len(place) :]}"
        return problem


def _text(value: Any) -> Any:
    """An id that a catalogue counts in numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _number(value: Any) -> Any:
    """A version that a table gives as text."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,16}", value) else value


def _event_id(product_id: Any, product: Row, version: Any) -> str:
    content = json.dumps([product_id, product, version], sort_keys=True, default=str)
    return f"import-{hashlib.sha256(content.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def invalid(message: str) -> InvalidEvent:
    """What a line that is no row comes to."""
    return InvalidEvent(Reason.INVALID_EVENT, message)
