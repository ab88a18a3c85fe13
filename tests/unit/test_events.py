from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letters import Reason
from schemas.events import (
    MAX_EVENT_BYTES,
    MAX_VERSION,
    TIMESTAMP_FLOOR,
    Event,
    InvalidEvent,
    VersionScheme,
    check_version,
    microseconds,
    parse_event,
    read_event,
)
from tests.factories import NOW, as_json, document, url

A_DIGEST = "sha256:" + "0" * 64


def read(
    value: bytes | None, *, key: bytes | None = b"p1", timestamp_ms: int = 1_780_000_000_000, scheme: str = "timestamp"
) -> Event:
    versions: VersionScheme = "counter" if scheme == "counter" else "timestamp"
    return read_event(key, value, timestamp_ms, versions, NOW)


def refusal(value: bytes | None, **context: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        read(value, **context)
    return caught.value


def without(*names: str) -> bytes:
    return json.dumps({name: value for name, value in document().items() if name not in names}).encode()


# --- the contract's fields -----------------------------------------------------------------------------------------


def test_a_valid_event_is_read_as_it_is() -> None:
    event = read(as_json(product_price="19.90", product_currency="EUR", product_brand="Acme"))

    assert event.product is not None
    assert (event.product_id, event.version, event.product.price) == ("p1", 1_780_000_000_000_000, Decimal("19.90"))


@pytest.mark.parametrize("name", ["event_id", "type", "product_id", "occurred_at"])
def test_a_missing_field_is_named(name: str) -> None:
    error = refusal(without(name))

    assert error.reason is Reason.INVALID_EVENT
    assert str(error).startswith(f"{name}: ")


@pytest.mark.parametrize("kind", ["created", "updated"])
def test_a_missing_product_is_named_unless_deleted(kind: str) -> None:
    assert str(refusal(json.dumps(document(type=kind) | {"product": None}).encode())).startswith("product: required")


def test_a_deleted_event_needs_no_product() -> None:
    assert read(json.dumps(document(type="deleted") | {"product": None}).encode()).deleted


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", ""),
        ("event_id", "e" * 257),
        ("type", "changed"),
        ("product_id", ""),
        ("product_id", "p" * 257),
        ("product_id", 5),
        ("version", 0),
        ("version", -1),
        ("version", MAX_VERSION + 1),
        ("version", 1.0),
        ("version", "1"),
        ("version", True),
        ("version", None),
        ("occurred_at", "yesterday"),
        ("occurred_at", "2026-06-01"),
        ("occurred_at", "2026-06-01T12:00:00"),
        ("occurred_at", 1_780_000_000),
        ("occurred_at", 1_780_000_000.5),
        ("occurred_at", "1780000000"),
        ("occurred_at", "1.78e9"),
        ("occurred_at", "2026-06-01 12:00:00Z"),
        ("occurred_at", "2026-06-01T12:00Z"),
        ("occurred_at", "2026-06-01T12:00:00+0200"),
        ("occurred_at", "2026-06-01T12:00:00,5Z"),
        ("occurred_at", "2026-06-01T12:00:00Z\n"),
        ("occurred_at", "2016-12-31T23:59:60Z"),
        ("occurred_at", "2026-02-30T12:00:00Z"),
        ("occurred_at", "2026-06-01T24:00:00Z"),
        ("occurred_at", "2026-06-01T12:00:00+24:00"),
        ("occurred_at", "0000-01-01T00:00:00Z"),
        ("occurred_at", "0001-01-01T00:00:00Z"),
        ("occurred_at", "1970-01-01T01:00:00+01:00"),
        ("occurred_at", "2255-06-05T23:47:34.740992Z"),
        ("occurred_at", "9999-12-31T23:59:59-23:59"),
        ("event_id", "e\n"),
        ("product_id", "p\x00"),
        ("product_id", "p\x9b"),
        ("product_title", "a\x00b"),
        ("product_title", "\x1b[31mred"),
        ("product_category", "\x7f"),
        ("product_brand", "\x08"),
        ("product_title", ""),
        ("product_title", "t" * 1025),
        ("product_category", "c" * 257),
        ("product_brand", "b" * 257),
        ("product_price", -0.01),
        ("product_price", "free"),
        ("product_price", "NaN"),
        ("product_price", "Infinity"),
        ("product_price", True),
        ("product_price", "1234567890123456"),
        ("product_price", "1e400"),
        ("product_price", "-1"),
        ("product_price", "+5"),
        ("product_price", " 5"),
        ("product_price", "5\n"),
        ("product_price", "1_000"),
        ("product_price", "1,5"),
        ("product_price", ".5"),
        ("product_price", "\u0661\u0662"),
        ("product_price", "1e15"),
        ("product_price", "1e-16"),
        ("product_price", "0e999"),
        ("product_price", 0.30000000000000004),
        ("product_price", ["5"]),
        ("product_currency", "eur"),
        ("product_currency", "EUR\n"),
        ("product_currency", "EURO"),
        ("product_attributes", {"": 1}),
        ("product_attributes", {"n" * 65: 1}),
        ("product_attributes", {"colour": None}),
        ("product_attributes", {"colour": {"name": "red"}}),
        ("product_attributes", {"colour": ["red", 1]}),
        ("product_attributes", {"colour": "c" * 1025}),
        ("product_attributes", {"colours": ["c"] * 65}),
        ("product_attributes", {"colours": ["c" * 1025]}),
        ("product_attributes", {str(number): number for number in range(65)}),
        ("product_attributes", {"size": 10**400}),
        ("product_attributes", {"si\x00ze": 1}),
        ("product_attributes", {"size": "\x00"}),
        ("product_attributes", {"sizes": ["\x00"]}),
        ("product_images", []),
        ("product_images", [{"url": url(str(number))} for number in range(17)]),
        ("product_images", [{"url": "ftp://images.test/a"}]),
        ("product_images", [{"url": "images.test/a"}]),
        ("product_images", [{"url": "http:///a"}]),
        ("product_images", [{"url": "http://:80/a"}]),
        ("product_images", [{"url": "http://images.test:99999/a"}]),
        ("product_images", [{"url": "http://images.test:port/a"}]),
        ("product_images", [{"url": "http://user:secret@images.test/a"}]),
        ("product_images", [{"url": "http://user@images.test/a"}]),
        ("product_images", [{"url": "http://images.test\\@127.0.0.1/a"}]),
        ("product_images", [{"url": " http://images.test/a"}]),
        ("product_images", [{"url": "http://images.test/a b"}]),
        ("product_images", [{"url": "http://images.test/a\nb"}]),
        ("product_images", [{"url": "http://ima\tges.test/a"}]),
        ("product_images", [{"url": "http://images.test/\u2003a"}]),
        ("product_images", [{"url": "file:///srv/a\x00.jpg"}]),
        ("product_images", [{"url": "http://[/a"}]),
        ("product_images", [{"url": "http://\u2100.test/a"}]),
        ("product_images", [{"url": "file://server/a"}]),
        ("product_images", [{"url": "file:a"}]),
        ("product_images", [{"url": "http://images.test/" + "a" * 2048}]),
        ("product_images", [{"url": url("a"), "digest": "0" * 64}]),
        ("product_images", [{"url": url("a"), "digest": "sha256:" + "A" * 64}]),
        ("product_images", [{"digest": A_DIGEST}]),
    ],
)
def test_a_value_past_its_limits_is_refused_and_its_field_named(field: str, value: Any) -> None:
    error = refusal(as_json(**{field: value}))

    path = field if field == "product_id" else field.replace("product_", "product.", 1)
    assert error.reason is Reason.INVALID_EVENT
    assert path in str(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", "e" * 256),
        ("version", TIMESTAMP_FLOOR),
        ("occurred_at", "2026-06-01T12:00:00Z"),
        ("occurred_at", "2026-06-01t12:00:00z"),
        ("occurred_at", "2026-06-01T14:00:00.123456+02:00"),
        ("occurred_at", "2026-06-01T12:00:00.123456789Z"),
        ("occurred_at", "2026-06-01T12:00:00-00:00"),
        ("occurred_at", "1970-01-01T00:00:00.000001Z"),
        ("occurred_at", "2255-06-05T23:47:34.740991Z"),
        ("product_title", "t" * 1024),
        ("product_price", 0),
        ("product_price", 19.99),
        ("product_price", "999999999999.99"),
        ("product_price", 999999999999999),
        ("product_price", "1E+2"),
        ("product_price", "1e14"),
        ("product_price", "1e-15"),
        ("product_price", "0.000000000000001"),
        ("product_price", 1e2),
        ("product_title", "two\r\nlines\tand \u0092 of another encoding"),
        ("product_brand", "\U0001f45f"),
        ("product_currency", None),
        ("product_attributes", {"n" * 64: "v" * 1024}),
        ("product_attributes", {"a": "x", "b": 1, "c": 1.5, "d": True, "e": ["x", "y"]}),
        ("product_images", [{"url": url(str(number))} for number in range(16)]),
        ("product_images", [{"url": "https://images.test:8443/a?b=c", "digest": A_DIGEST}]),
        ("product_images", [{"url": "file:///srv/images/a.jpg"}]),
        ("product_images", [{"url": "HTTPS://b\u00fccher.test/sch\u00f6n.jpg"}]),
        ("product_images", [{"url": "http://[::1]:8080/a?b=c@d#e"}]),
        ("product_images", [{"url": "http://images.test?a"}]),
    ],
)
def test_a_value_at_its_limits_is_taken(field: str, value: Any) -> None:
    assert read(as_json(**{field: value})).event_id


def test_every_wrong_field_is_named_at_once() -> None:
    message = str(refusal(as_json(type="changed", event_id="", product_currency="euros")))

    assert all(name in message for name in ("type", "event_id", "product.currency"))


def test_an_attribute_keeps_its_json_type() -> None:
    values = {"text": "1", "flag": True, "whole": 1, "part": 1.0, "list": ["1"]}

    product = read(as_json(product_attributes=values)).product

    assert product is not None
    assert {name: type(value) for name, value in product.attributes.items()} == {
        name: type(value) for name, value in values.items()
    }


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_an_integer_attribute_beyond_64_bits_becomes_a_float_that_qdrant_can_hold(number: int) -> None:
    product = read(as_json(product_attributes={"size": number})).product

    assert product is not None
    assert type(product.attributes["size"]) is float


def test_unknown_fields_are_ignored_at_every_level() -> None:
    images = [{"url": url("a"), "width": 640}]

    assert read(as_json(colour="red", product_warehouse={"id": 1}, product_images=images)) == read(as_json())


def test_the_same_image_twice_is_one_image() -> None:
    images = [{"url": url("a")}, {"url": url("b")}, {"url": url("a")}]

    assert [image.url for image in read(as_json(product_images=images)).images] == [url("a"), url("b")]


def test_the_same_url_with_another_digest_is_another_image() -> None:
    images = [{"url": url("a")}, {"url": url("a"), "digest": A_DIGEST}]

    assert len(read(as_json(product_images=images)).images) == 2


def test_a_deleted_event_has_no_images_whatever_it_carries() -> None:
    assert read(as_json(type="deleted")).images == []


@pytest.mark.parametrize("product", [{}, {"title": "A shoe", "images": []}, [], 5, "gone", {"title": "\x00"}])
def test_a_deleted_event_is_taken_whatever_is_wrong_with_its_product(product: Any) -> None:
    event = read(json.dumps(document(type="deleted") | {"product": product}).encode())

    assert type(event) is Event
    assert (event.deleted, event.product, event.version) == (True, None, 1_780_000_000_000_000)


def test_a_deleted_event_that_is_wrong_elsewhere_too_is_refused_with_all_of_it() -> None:
    message = str(refusal(json.dumps(document(type="deleted", event_id="") | {"product": {}}).encode()))

    assert all(name in message for name in ("event_id: ", "product.title: ", "product.images: "))


def test_a_deleted_event_without_version_gets_none_from_a_product_that_is_wrong() -> None:
    fields = {name: value for name, value in document(type="deleted").items() if name != "version"} | {"product": {}}

    assert refusal(json.dumps(fields).encode(), scheme="counter").reason is Reason.INVALID_VERSION


def test_of_a_repeated_name_the_last_one_counts() -> None:
    assert read(as_json()[:-1] + b', "version": 1780000000000001}').version == 1_780_000_000_000_001


def test_an_event_survives_its_own_json() -> None:
    event = read(as_json(product_price="19.90", product_attributes={"sizes": ["36", "37"], "new": True}))

    assert parse_event(event.to_json()) == event


@pytest.mark.parametrize("price", [Decimal("1E+2"), Decimal("19.90"), Decimal(0), 19.9, "1e-15"])
def test_a_price_is_the_same_number_in_the_event_s_json(price: Any) -> None:
    event = Event.model_validate(document(product_price=price))

    assert parse_event(event.to_json()) == event


# --- what is no event at all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"not json", b"\xff\xfe", b'{"event_id": "\xff"}', b'{"event_id": "\\ud800"}', b"[" * 100_000, b"\x00"],
)
def test_what_is_no_utf8_json_is_invalid_json(value: bytes) -> None:
    assert refusal(value).reason is Reason.INVALID_JSON


@pytest.mark.parametrize("value", [b"null", b"[]", b"1", b'"text"', b"NaN", b"{}"])
def test_json_that_is_no_event_is_an_invalid_event(value: bytes) -> None:
    assert refusal(value).reason is Reason.INVALID_EVENT


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_number_that_is_none_is_refused(number: bytes) -> None:
    value = as_json(product_price=4321, product_attributes={"size": 1234})

    assert refusal(value.replace(b"4321", number)).reason is Reason.INVALID_EVENT
    assert refusal(value.replace(b"1234", number)).reason is Reason.INVALID_EVENT


@pytest.mark.parametrize("depth", [300, 100_000])
@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_json_that_is_nested_too_deep_is_refused(depth: int, opened: bytes, closed: bytes) -> None:
    value = as_json()[:-1] + b', "unknown": ' + opened * depth + b"1" + closed * depth + b"}"

    assert refusal(value).reason is Reason.INVALID_JSON


def test_an_event_may_have_its_full_size_and_not_a_byte_more() -> None:
    value = as_json()[:-1] + b', "unknown": "' + b"x" * MAX_EVENT_BYTES
    full = value[: MAX_EVENT_BYTES - 2] + b'"}'

    assert len(full) == MAX_EVENT_BYTES
    assert read(full) == read(as_json())
    error = refusal(full[:-2] + b'x"}')
    assert error.reason is Reason.INVALID_EVENT
    assert str(error) == "event: 900,001 bytes; at most 900,000"


def test_an_event_that_would_be_too_large_is_not_written() -> None:
    texts = {str(number): ["x" * 1024] * 64 for number in range(20)}

    with pytest.raises(InvalidEvent, match=r"^event: 1,\d{3},\d{3} bytes"):
        Event.model_validate(document(product_attributes=texts)).to_json()


def test_what_a_message_repeats_of_the_publisher_s_words_is_printable() -> None:
    message = str(refusal(as_json(product_attributes={"\x1b[31m\n" + "n" * 500: 1})))

    assert message.isprintable()
    assert len(message) < 300


def test_a_value_that_is_none_of_the_five_kinds_is_refused_in_one_sentence() -> None:
    message = str(refusal(as_json(product_attributes={"colour": None})))

    assert message.startswith("product.attributes.colour: must be a text")
    assert message.count("product.") == 1


def test_a_long_list_of_problems_is_cut() -> None:
    images = [{"url": "", "digest": ""}] * 16

    assert len(str(refusal(as_json(product_images=images)))) == 1000


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [None, b"", b"\xff", b"p" * 257, b"p\x00", b"p\n", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_a_key_that_is_no_product_id_is_refused(key: bytes | None) -> None:
    assert refusal(as_json(), key=key).reason is Reason.INVALID_KEY
    assert refusal(None, key=key).reason is Reason.INVALID_KEY


def test_a_key_of_256_characters_may_have_more_bytes() -> None:
    product_id = "é" * 256

    assert read(as_json(product_id=product_id), key=product_id.encode()).product_id == product_id


def test_a_key_of_another_product_is_refused_with_both_named() -> None:
    error = refusal(as_json(product_id="p2"))

    assert error.reason is Reason.KEY_MISMATCH
    assert "'p1'" in str(error)
    assert "'p2'" in str(error)


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_missing_version_is_the_time_of_the_event_in_microseconds() -> None:
    event = read(without("version"))

    assert event.version == microseconds(datetime(2026, 6, 1, 11, 59, 58, 500_000, tzinfo=UTC))


def test_a_missing_version_is_written_out() -> None:
    event = read(without("version"))

    assert json.loads(event.to_json())["version"] == event.version


@pytest.mark.parametrize("version", [1, TIMESTAMP_FLOOR - 1])
def test_a_counter_is_no_timestamp(version: int) -> None:
    assert refusal(as_json(version=version)).reason is Reason.INVALID_VERSION


def test_a_timestamp_is_no_counter() -> None:
    assert refusal(as_json(version=TIMESTAMP_FLOOR), scheme="counter").reason is Reason.INVALID_VERSION


def test_a_counter_is_taken_where_versions_are_counters() -> None:
    assert read(as_json(version=TIMESTAMP_FLOOR - 1), scheme="counter").version == TIMESTAMP_FLOOR - 1


def test_a_counter_can_not_be_left_out() -> None:
    assert refusal(without("version"), scheme="counter").reason is Reason.INVALID_VERSION


def test_a_version_ten_minutes_ahead_is_taken_and_one_past_it_is_not() -> None:
    limit = microseconds(NOW + timedelta(minutes=10))

    assert read(as_json(version=limit)).version == limit
    assert refusal(as_json(version=limit + 1)).reason is Reason.INVALID_VERSION


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:01Z", "2001-09-09T01:46:39Z", "2255-06-05T23:47:34Z"])
def test_an_impossible_time_can_not_become_a_version(moment: str) -> None:
    value = json.dumps({name: v for name, v in document(occurred_at=moment).items() if name != "version"}).encode()

    assert refusal(value).reason is Reason.INVALID_VERSION


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.timezones()))  # noqa: DTZ001
def test_microseconds_are_exact(moment: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(moment)) == moment.astimezone(UTC)


# --- a null value ---------------------------------------------------------------------------------------------------


def test_a_null_value_deletes_at_the_time_of_its_record() -> None:
    event = read(None, timestamp_ms=1_780_000_000_123)

    assert event.deleted
    assert (event.product_id, event.version) == ("p1", 1_780_000_000_123_000)
    assert event.occurred_at == datetime.fromtimestamp(1_780_000_000.123, UTC)


def test_a_null_value_deletes_nothing_where_versions_are_counters() -> None:
    assert refusal(None, scheme="counter").reason is Reason.NULL_VALUE


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 10**14, 10**18, 2**63 - 1, -(2**63)])
def test_a_null_value_at_an_impossible_time_is_refused(timestamp_ms: int) -> None:
    assert refusal(None, timestamp_ms=timestamp_ms).reason is Reason.NULL_VALUE


def test_a_null_value_from_the_future_can_not_freeze_its_product() -> None:
    ahead = NOW + timedelta(minutes=11)

    assert refusal(None, timestamp_ms=microseconds(ahead) // 1000).reason is Reason.INVALID_VERSION


# --- properties -----------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
SCHEMES: list[VersionScheme] = ["timestamp", "counter"]


@given(
    key=st.none() | st.binary(max_size=8),
    value=st.none() | st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()),
    timestamp_ms=st.integers(-(2**63), 2**63 - 1),
    scheme=st.sampled_from(SCHEMES),
)
def test_whatever_a_record_holds_is_an_event_or_an_invalid_event(
    key: bytes | None, value: bytes | None, timestamp_ms: int, scheme: VersionScheme
) -> None:
    try:
        event = read_event(key, value, timestamp_ms, scheme, NOW)
    except InvalidEvent:
        return
    assert 1 <= event.version <= MAX_VERSION


@given(data=st.data())
def test_a_valid_event_with_anything_in_one_place_is_an_event_or_an_invalid_event(data: st.DataObject) -> None:
    fields = document(product_price=1, product_currency="EUR", product_attributes={"a": 1}, product_brand="b")
    place = data.draw(st.sampled_from([fields, fields["product"], fields["product"]["images"][0]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)

    try:
        event = read_event(b"p1", json.dumps(fields).encode(), 1, data.draw(st.sampled_from(SCHEMES)), NOW)
    except InvalidEvent:
        return
    assert parse_event(event.to_json()) == event


@given(st.integers(1, MAX_VERSION))
def test_a_version_is_of_one_scheme_at_most(version: int) -> None:
    event = Event.model_validate(document(version=version))
    accepted = []
    for scheme in SCHEMES:
        try:
            check_version(event, scheme, NOW)
            accepted.append(scheme)
        except InvalidEvent:
            pass

    assert accepted in ([], ["timestamp"], ["counter"])
