"""The limits of an event's fields, as the model holds them and as its JSON Schema states them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    FailFast,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

MAX_VERSION = 2**53 - 1  # Qdrant compares integers as 64-bit floats, exact up to here

# All patterns mean the same to Rust's regex, to ECMA 262 (JSON Schema) and, by fullmatch, to Python.
IDENTIFIER = r"^[^\u0000-\u001F\u007F-\u009F]*$"
TEXT = r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F]*$"
PRICE = r"^[0-9]{1,15}(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?$"
CURRENCY = r"^[A-Z]{3}$"
DIGEST = r"^sha256:[0-9a-f]{64}$"
MOMENT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"  # RFC 3339
)
IMAGE_URL = (
    r"^([Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@\\\u0000-\u001F\u007F]+([/?#][^\s\u0000-\u001F\u007F]*)?"
    r"|[Ff][Ii][Ll][Ee]:///[^\s\u0000-\u001F\u007F]*)$"
)

SAID: dict[str, str] = {
    IDENTIFIER: "must hold no control characters",
    TEXT: "must hold no control characters but tabs and line ends",
    CURRENCY: "must be three capital letters, as in ISO 4217",
    DIGEST: "must be sha256: and 64 hexadecimal digits in lower case",
    IMAGE_URL: "must be an http, https or file:/// URL, without credentials and whitespace",
}
"""What a pattern asks for, in words."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = EARLIEST + timedelta(microseconds=MAX_VERSION)  # in June 2255: each time in between is a version


def _written_out(moment: object) -> object:
    if isinstance(moment, datetime) or (isinstance(moment, str) and re.fullmatch(MOMENT, moment)):
        return moment
    raise ValueError("must be an RFC 3339 time with its zone")  # a number could be of seconds or of milliseconds


def _in_range(moment: datetime) -> datetime:
    if EARLIEST < moment <= LATEST:
        return moment
    raise ValueError("must be between 1970 and June 2255")


def _decimal(price: object) -> object:
    if isinstance(price, (str, Decimal)) and not re.fullmatch(PRICE, str(price)):
        raise ValueError("must be a number from 0 on, or one as text, like 19.90")
    return price


def _host(url: str) -> str:
    parts = urlsplit(url)  # raises ValueError for what is no host
    if parts.scheme.lower() != "file" and not (parts.hostname and parts.port != 0):  # or no port
        raise ValueError("must name a host")
    return url


EventId = Annotated[str, Field(min_length=1, max_length=256, pattern=IDENTIFIER)]
ProductId = Annotated[str, Field(min_length=1, max_length=256, pattern=IDENTIFIER)]
Version = Annotated[int, Field(ge=1, le=MAX_VERSION, strict=True)]
"""Strict: a version written as 1.0, "1" or true is a publisher's mistake, better named than guessed at."""
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    AfterValidator(_in_range),
    Field(json_schema_extra={"pattern": MOMENT}),
]
Title = Annotated[str, Field(min_length=1, max_length=1024, pattern=TEXT)]
Name = Annotated[str, Field(max_length=256, pattern=TEXT)]
Currency = Annotated[str, Field(pattern=CURRENCY, description="ISO 4217")]
Price = Annotated[
    Decimal,
    Field(ge=0, max_digits=15),
    BeforeValidator(_decimal),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0, "maximum": 10**15 - 1}, {"type": "string", "pattern": PRICE}]}
    ),
]
ImageUrl = Annotated[str, Field(max_length=2048, pattern=IMAGE_URL), AfterValidator(_host)]
Digest = Annotated[str, Field(pattern=DIGEST)]

AttributeName = Annotated[str, Field(min_length=1, max_length=64, pattern=IDENTIFIER)]
AttributeText = Annotated[StrictStr, Field(max_length=1024, pattern=TEXT)]
# Qdrant's integers have 64 bits; a larger one is taken as a float.
AttributeInteger = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
AttributeTexts = Annotated[list[AttributeText], Field(max_length=64)]
AttributeValue = AttributeText | StrictBool | AttributeInteger | StrictFloat | AttributeTexts
# To fail fast: an event may hold a hundred thousand wrong ones, and each has five ways to be wrong.
Attributes = Annotated[
    dict[AttributeName, AttributeValue],
    Field(
        max_length=64,
        json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": 64, "pattern": IDENTIFIER}},
    ),
    FailFast(),
]
