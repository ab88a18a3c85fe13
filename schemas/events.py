"""The catalogue event: what a shop publishes when a product is listed, changed or withdrawn."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from schemas.dead_letters import Reason

MAX_VERSION = 2**53 - 1  # Qdrant compares integers as 64-bit floats, exact up to here
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


def _image_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        return url
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return url
    raise ValueError("must be an http, https or file:/// URL")


class Image(_Contract):
    """One picture of a product. Without a `digest`, the same `url` means the same picture."""

    url: Annotated[str, Field(max_length=2048), AfterValidator(_image_url)]
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None


AttributeName = Annotated[str, Field(min_length=1, max_length=64)]
AttributeText = Annotated[StrictStr, Field(max_length=1024)]
# Qdrant's integers have 64 bits; a larger one is taken as a float.
AttributeInteger = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
AttributeValue = (
    AttributeText | StrictBool | AttributeInteger | StrictFloat | Annotated[list[AttributeText], Field(max_length=64)]
)


class Product(_Contract):
    """The product as it is after the event: an event carries the whole product, never a difference."""

    title: Annotated[str, Field(min_length=1, max_length=1024)]
    category: Annotated[str, Field(max_length=256)] | None = None
    brand: Annotated[str, Field(max_length=256)] | None = None
    price: Annotated[Decimal, Field(ge=0, max_digits=15)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")] | None = None
    attributes: Annotated[dict[AttributeName, AttributeValue], Field(max_length=64)] = Field(default_factory=dict)
    images: Annotated[list[Image], Field(min_length=1, max_length=16)]


def microseconds(moment: datetime) -> int:
    """Whole microseconds since the Unix epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]", re.ASCII)


def _written_out(moment: object) -> object:
    if isinstance(moment, datetime) or (isinstance(moment, str) and _DATE_AND_TIME.match(moment)):
        return moment
    raise ValueError("must be an RFC 3339 time with its zone")  # a number could be of seconds or of milliseconds


class Event(_Contract):
    """One change of one product. The highest `version` wins, whatever the order of arrival."""

    event_id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["created", "updated", "deleted"]
    product_id: Annotated[str, Field(min_length=1, max_length=256)]
    occurred_at: Annotated[AwareDatetime, BeforeValidator(_written_out)]
    # strict: a version written as 1.0, "1" or true is a publisher's mistake, better named than guessed at.
    version: Annotated[int, Field(ge=1, le=MAX_VERSION, strict=True)] = Field(
        default_factory=lambda data: microseconds(data["occurred_at"])
    )
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
        """UTF-8 JSON, as it stands on the topic."""
        return self.model_dump_json(exclude_none=True).encode()


def describe(error: ValidationError) -> str:
    """The fields that are missing or wrong, in one line."""
    problems = []
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        if detail["type"] == "default_factory_not_called":  # a version that only misses its occurred_at, named already
            continue
        where = ".".join(str(part) for part in detail["loc"])
        problems.append(f"{where}: {detail['msg']}" if where else detail["msg"].removeprefix("Value error, "))
    return "; ".join(dict.fromkeys(problems))[:1000]


def parse_event(value: bytes | str) -> Event:
    """Read JSON.

    Raises:
        InvalidEvent: it is no JSON (`invalid_json`) or breaks the contract (`invalid_event`, each field named).
    """
    try:
        return Event.model_validate_json(value)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise InvalidEvent(Reason.INVALID_JSON, describe(error)) from None
        raise InvalidEvent(Reason.INVALID_EVENT, describe(error)) from None


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


def _product_id(key: bytes | None) -> str:
    try:
        product_id = (key or b"").decode()
    except UnicodeDecodeError:
        raise InvalidEvent(Reason.INVALID_KEY, "key: not UTF-8") from None
    if not 1 <= len(product_id) <= 256:
        raise InvalidEvent(Reason.INVALID_KEY, "key: must be the product_id, 1 to 256 characters")
    return product_id


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
