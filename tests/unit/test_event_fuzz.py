"""Bytes that are no event, nearly one, or one: each is read, or refused with a reason that names the field.

`FRESHLINE_FUZZ=50 pytest tests/unit/test_event_fuzz.py` runs fifty times as many cases.
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.dead_letters import Reason
from schemas.events import MAX_VERSION, Event, InvalidEvent, parse_event
from schemas.export import FOLDER
from tests.json_schema import fits

TIMES = int(os.environ.get("FRESHLINE_FUZZ", "1"))
pytestmark = pytest.mark.timeout(300 * TIMES)
SCHEMA = json.loads((FOLDER / "event.schema.json").read_text(encoding="utf-8"))
FIELDS = ("event: ", *(f"{name}{end}" for name in SCHEMA["properties"] for end in (": ", ".")))


def cases(number: int) -> settings:
    return settings(max_examples=number * TIMES, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def read_or_refused(value: bytes) -> Event | None:
    event, error = outcome(value)
    if event is None:
        assert error is not None
        message = str(error)
        assert message.isprintable()
        assert 0 < len(message) <= 1000
        if error.reason is Reason.INVALID_JSON:
            assert message.startswith("Invalid JSON: ")
        else:
            assert error.reason is Reason.INVALID_EVENT
            assert message.startswith(FIELDS)
        return None
    assert parse_event(event.to_json()) == event
    assert 1 <= event.version <= MAX_VERSION
    return event


def outcome(value: bytes) -> tuple[Event | None, InvalidEvent | None]:
    try:
        return parse_event(value), None
    except InvalidEvent as error:
        return None, error


# --- events, field by field, up to their limits ---------------------------------------------------------------------


def words(least: int, most: int, forbidden: str = "") -> st.SearchStrategy[str]:
    characters = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters=forbidden)
    return st.text(characters, min_size=least, max_size=min(most, 40)) | st.just("é" * most)


MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 3),  # noqa: DTZ001
    max_value=datetime(2255, 6, 3),  # noqa: DTZ001
    timezones=st.timezones(),
)
TIMES_WRITTEN = MOMENTS.filter(lambda moment: _whole_minutes(moment.utcoffset())).map(datetime.isoformat)


def _whole_minutes(offset: timedelta | None) -> bool:
    return offset is not None and not offset % timedelta(minutes=1)


PRICES = st.decimals(0, 10**12, places=2).map(str) | st.integers(0, 10**15 - 1) | st.sampled_from(["1E+2", "0", 19.9])
HOSTS = st.sampled_from(["images.test", "images.test:8443", "[::1]", "127.0.0.1", "bücher.test"])
PATHS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), max_size=40)
URLS = st.builds("{}://{}/{}".format, st.sampled_from(["http", "https", "HTTPS"]), HOSTS, PATHS) | PATHS.map(
    "file:///srv/{}".format
)
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda digest: f"sha256:{digest.hex()}")
IMAGES = st.fixed_dictionaries({"url": URLS}, optional={"digest": st.none() | DIGESTS, "width": st.integers()})
VALUES = (
    words(0, 1024)
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.lists(words(0, 1024), max_size=5)
)
PRODUCTS = st.fixed_dictionaries(
    {"title": words(1, 1024), "images": st.lists(IMAGES, min_size=1, max_size=4)},
    optional={
        "category": st.none() | words(0, 256),
        "brand": st.none() | words(0, 256),
        "price": st.none() | PRICES,
        "currency": st.none() | st.sampled_from(["EUR", "JPY"]),
        "attributes": st.dictionaries(words(1, 64), VALUES, max_size=4),
    },
)
EVENTS = st.fixed_dictionaries(
    {
        "event_id": words(1, 256),
        "type": st.sampled_from(["created", "updated"]),
        "product_id": words(1, 256),
        "occurred_at": TIMES_WRITTEN,
        "product": PRODUCTS,
    },
    optional={"version": st.integers(1, MAX_VERSION), "trace": st.text()},
)


@cases(2500)
@given(EVENTS, st.booleans())
def test_a_valid_event_is_read_survives_its_own_json_and_fits_the_schema(fields: dict[str, Any], ascii_: bool) -> None:
    event = read_or_refused(json.dumps(fields, ensure_ascii=ascii_).encode())

    assert event is not None
    assert (event.event_id, event.product_id) == (fields["event_id"], fields["product_id"])
    assert fits(fields, SCHEMA, SCHEMA)


# --- events with something wrong ------------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | URLS | st.sampled_from(["2026-06-01", "1e5"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
# What the schema can't say: which times, prices and hosts there are; a version's default.
BEYOND_THE_SCHEMA = ("occurred_at: ", "version: ", "product.price: ", "product.images.")


@cases(4000)
@given(EVENTS, st.data())
def test_an_event_with_anything_in_one_place_is_read_or_refused_as_the_schema_says(
    fields: dict[str, Any], data: st.DataObject
) -> None:
    places: list[dict[str, Any]] = [fields, fields["product"], *fields["product"]["images"]]
    place = data.draw(st.sampled_from(places))
    name = data.draw(st.sampled_from([*place, "digest", "price", "attributes", "version"]))
    if data.draw(st.booleans()):
        place[name] = data.draw(ANYTHING)
    else:
        place.pop(name, None)
    value = json.dumps(fields).encode()

    event = read_or_refused(value)

    fitting = fits(json.loads(value), SCHEMA, SCHEMA)
    if event is not None:
        assert fitting
    elif fitting:
        assert any(part in str(outcome(value)[1]) for part in BEYOND_THE_SCHEMA)


PIECES = st.sampled_from(
    [
        *(b"NaN", b"-Infinity", b"1e999", b"-0", b"1" * 5000, b"0." + b"1" * 20_000, b"9223372036854775808", b"null"),
        *(b"\x00", b"\\u0000", b"\\ud800", b"\\ud83d\\udc5f", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
        *(b"[" * 300, b'{"a":' * 300, b'"', b"\\", b"{}", b"[]", b",", b'"version":1,', b'"type":"deleted",', b"\n\t "),
    ]
) | st.binary(max_size=8)


@cases(3000)
@given(EVENTS, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), PIECES), min_size=1, max_size=4))
def test_an_event_s_bytes_with_some_cut_out_and_put_in_are_read_or_refused(
    fields: dict[str, Any], cuts: list[tuple[float, int, bytes]]
) -> None:
    value = json.dumps(fields).encode()
    for where, length, piece in cuts:
        at = int(where * len(value))
        value = value[:at] + piece + value[at + length :]

    read_or_refused(value)


@cases(1500)
@given(st.binary(max_size=400) | ANYTHING.map(lambda anything: json.dumps(anything).encode()))
def test_any_bytes_and_any_json_are_refused(value: bytes) -> None:
    assert read_or_refused(value) is None
