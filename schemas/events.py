"""The catalogue event: what a shop publishes when a product is listed, changed or withdrawn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from schemas.dead_letters import Reason
from schemas.fields import (
    MAX_VERSION,
    SAID,
    Attributes,
    AttributeValue,
    Currency,
    Digest,
    EventId,
    ImageUrl,
    Moment,
    Name,
    Price,
    ProductId,
    Title,
    Version,
)

__all__ = [
    "MAX_EVENT_BYTES",
    "MAX_VERSION",
    "AttributeValue",
    "Event",
    "Image",
    "InvalidEvent",
    "Product",
    "VersionScheme",
    "check_version",
    "microseconds",
    "parse_event",
    "read_event",
]

MAX_EVENT_BYTES = 900_000
"""Of its JSON: what fits, with its key and headers, into the 1 MB that Kafka's clients and brokers take by default."""
MAX_AHEAD = timedelta(minutes=10)
# A version in microseconds is past this since September 2001; a counter never comes near it.
TIMESTAMP_FLOOR = 10**15

VersionScheme = Literal["timestamp", "counter"]


class InvalidEvent(ValueError):
    """A record that is no valid event; `reason` is what its dead letter says."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Contract(BaseModel):
    """Unknown fields are ignored, so that publishers may be newer than workers."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Image(_Contract):
    """One picture of a product. Without a `digest`, the same `url` means the same picture."""

    url: ImageUrl
    digest: Digest | None = None


class Product(_Contract):
    """The product as it is after the event: an event carries the whole product, never a difference."""

    title: Title
    category: Name | None = None
    brand: Name | None = None
    price: Price | None = None
    currency: Currency | None = None
    attributes: Attributes = Field(default_factory=dict)
    images: Annotated[list[Image], Field(min_length=1, max_length=16)]


def microseconds(moment: datetime) -> int:
    """Whole microseconds since the Unix epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


class Event(_Contract):
    """One change of one product. The highest `version` wins, whatever the order of arrival."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"type": {"const": "deleted"}}},
            "else": {"required": ["product"], "properties": {"product": {"type": "object"}}},
        }
    )

    event_id: EventId
    type: Literal["created", "updated", "deleted"]
    product_id: ProductId
    occurred_at: Moment
    version: Version = Field(default_factory=lambda data: microseconds(data["occurred_at"]))
    product: Product | None = None

    @model_validator(mode="after")
    def _product_fits_type(self) -> Self:
        if self.type != "deleted" and self.product is None:
            raise ValueError(f"product: required when type is {self.type!r}")
        return self

    @property
    def deleted(self) -> bool:
        """Whether this event withdraws its product."""
        return self.type == "deleted"

    @property
    def images(self) -> list[Image]:
        """The product's pictures without repetitions; none for a deleted one."""
        if self.deleted or self.product is None:
            return []
        if len(self.product.images) == 1:
            return self.product.images
        return list({(image.url, image.digest): image for image in self.product.images}.values())

    def to_json(self) -> bytes:
        """UTF-8 JSON, as it stands on the topic.

        Raises:
            InvalidEvent: it is larger than `MAX_EVENT_BYTES`.
        """
        value = self.model_dump_json(exclude_none=True).encode()
        _check_size(value)
        return value


class _Withdrawal(Event):
    """A deleted event whose product is not looked at: what was wrong with it must not keep it in the shop."""

    type: Literal["deleted"]
    product: Annotated[None, BeforeValidator(lambda _: None)] = None


def parse_event(value: bytes | str) -> Event:
    """Read JSON.

    Raises:
        InvalidEvent: it is no JSON (`invalid_json`) or breaks the contract (`invalid_event`, each field named).
    """
    _check_size(value.encode() if isinstance(value, str) else value)
    try:
        return Event.model_validate_json(value)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise InvalidEvent(Reason.INVALID_JSON, describe(error)) from None
        if event := _withdrawal(value):
            return event
        raise InvalidEvent(Reason.INVALID_EVENT, describe(error)) from None


def _check_size(value: bytes) -> None:
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidEvent(Reason.INVALID_EVENT, f"event: {len(value):,} bytes; at most {MAX_EVENT_BYTES:,}")


def _withdrawal(value: bytes | str) -> Event | None:
    try:
        event = _Withdrawal.model_validate_json(value)
    except ValidationError:
        return None
    return Event(**event.model_dump(exclude_unset=True, exclude={"product"}))


ATTRIBUTE = "must be a text of at most 1024 characters, a number, true, false, or a list of at most 64 such texts"


def describe(error: ValidationError) -> str:
    """The fields that are missing or wrong, in one line."""
    details = error.errors(include_url=False, include_input=False)
    # A version that only misses its occurred_at is passed over: that one is named already.
    problems = [_problem(detail) for detail in details if detail["type"] != "default_factory_not_called"]
    return "; ".join(dict.fromkeys(problems))[:1000]


def _problem(detail: Mapping[str, Any]) -> str:
    place: tuple[str | int, ...] = detail["loc"]
    message = SAID.get(detail.get("ctx", {}).get("pattern"), detail["msg"].removeprefix("Value error, "))
    if place[:2] == ("product", "attributes") and len(place) > 2:
        if place[-1] != "[key]":
            message = ATTRIBUTE  # one sentence for the five kinds, of which it is none
        place = place[:3]
    elif detail["type"].startswith("datetime_"):
        message = "must be a time that exists: RFC 3339 with its zone, without leap seconds"
    elif detail["type"] == "model_type":
        message = "must be an object" if place else "event: must be a JSON object"
    where = ".".join(_printable(str(part)) for part in place)
    return f"{where}: {message}" if where else message


def _printable(name: str) -> str:
    """A publisher's own words, for a log or a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name[:100])


def check_version(event: Event, scheme: VersionScheme, now: datetime) -> None:
    """Refuse a version that would freeze its product.

    Raises:
        InvalidEvent: `invalid_version`, for a value that is missing in the counter scheme, of the other scheme's
            magnitude, or more than ten minutes ahead of `now`.
    """
    if scheme == "counter":
        if "version" not in event.model_fields_set:
            raise InvalidEvent(Reason.INVALID_VERSION, "version: required, since versions are counters")
        if event.version >= TIMESTAMP_FLOOR:
            raise InvalidEvent(Reason.INVALID_VERSION, f"version: {event.version} is a timestamp, not a counter")
        return
    if event.version < TIMESTAMP_FLOOR:
        raise InvalidEvent(Reason.INVALID_VERSION, f"version: {event.version} is not in microseconds since 1970")
    if event.version > microseconds(now + MAX_AHEAD):
        raise InvalidEvent(Reason.INVALID_VERSION, f"version: {event.version} is over ten minutes in the future")


def read_event(
    key: bytes | None, value: bytes | None, timestamp_ms: int, scheme: VersionScheme, now: datetime
) -> Event:
    """The event that a Kafka record holds; a null value is a delete at the record's timestamp.

    Raises:
        InvalidEvent: with the reason for its dead letter.
    """
    product_id = _product_id(key)
    event = _null_event(product_id, timestamp_ms, scheme) if value is None else parse_event(value)
    if event.product_id != product_id:
        raise InvalidEvent(Reason.KEY_MISMATCH, f"key: {product_id!r} is not the product_id {event.product_id!r}")
    check_version(event, scheme, now)
    return event


_KEY: TypeAdapter[str] = TypeAdapter(ProductId)


def _product_id(key: bytes | None) -> str:
    try:
        return _KEY.validate_python((key or b"").decode())
    except UnicodeDecodeError:
        raise InvalidEvent(Reason.INVALID_KEY, "key: not UTF-8") from None
    except ValidationError:
        message = "key: must be the product_id, 1 to 256 characters, none of them a control character"
        raise InvalidEvent(Reason.INVALID_KEY, message) from None


def _null_event(product_id: str, timestamp_ms: int, scheme: VersionScheme) -> Event:
    if scheme == "counter":
        raise InvalidEvent(Reason.NULL_VALUE, "value: null deletes only where versions are timestamps")
    try:
        return Event(
            event_id=f"null:{timestamp_ms}",
            type="deleted",
            product_id=product_id,
            version=timestamp_ms * 1000,
            occurred_at=datetime.fromtimestamp(timestamp_ms / 1000, UTC),
        )
    except (ValueError, OverflowError, OSError):  # whoever sets a record's timestamp can set anything
        raise InvalidEvent(Reason.NULL_VALUE, f"timestamp: {timestamp_ms} is no time of a delete") from None
