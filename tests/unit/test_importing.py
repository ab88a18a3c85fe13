"""Rows of a catalogue become events: columns, refusals by line and column, going on, and a rate."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshline.importing.columns import Columns, MapError, read_map
from freshline.importing.rows import Line, csv_rows, json_lines
from freshline.importing.sending import Sender
from schemas.events import Event, InvalidEvent, microseconds
from stream.publisher import Publisher
from tests.factories import as_json

NOW = datetime.now(UTC)
ROW = {"product_id": "p1", "title": "A red shoe", "images": "http://a.test/1.jpg http://a.test/2.jpg"}


def event(row: dict[str, Any], *options: str, separator: str = " ") -> Event:
    return Columns(read_map(options), separator).event(row, NOW)


def lines(
    text: str | bytes, *options: str, scheme: Any = "timestamp", skip: int = 0, form: Any = csv_rows
) -> list[Line]:
    file = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    return list(form(file, Columns(read_map(options)), scheme, skip))


def refusals(found: list[Line]) -> dict[int, str]:
    return {line.number: str(line.result) for line in found if isinstance(line.result, InvalidEvent)}


def test_a_row_becomes_the_event_that_lists_the_product() -> None:
    listed = event(ROW | {"price": "19.90", "currency": "EUR", "brand": "", "attributes.size": "42"})

    assert (listed.type, listed.product_id, listed.occurred_at) == ("created", "p1", NOW)
    assert listed.version == microseconds(NOW)
    assert [image.url for image in listed.images] == ["http://a.test/1.jpg", "http://a.test/2.jpg"]
    assert listed.product is not None
    assert (str(listed.product.price), listed.product.brand) == ("19.90", None)
    assert listed.product.attributes == {"size": "42"}


def test_columns_of_other_names_are_mapped() -> None:
    listed = event(
        {"sku": 7, "name": "A shoe", "photos": "http://a.test/1.jpg|http://a.test/2.jpg", "farbe": "rot", "x": "y"},
        "product_id=sku", "title=name", "images=photos", "attributes.colour=farbe", separator="|",
    )  # fmt: skip

    assert listed.product_id == "7"
    assert listed.product is not None
    assert (listed.product.title, len(listed.images)) == ("A shoe", 2)
    assert listed.product.attributes == {"colour": "rot"}


def test_pictures_of_a_json_row_may_be_a_list_with_digests() -> None:
    images = ["http://a.test/1.jpg", {"url": "http://a.test/2.jpg", "digest": "sha256:" + "0" * 64}]

    assert [image.digest for image in event(ROW | {"images": images}).images] == [None, "sha256:" + "0" * 64]


@given(st.dictionaries(st.sampled_from(["brand", "category", "attributes.a"]), st.text(max_size=5)))
def test_the_same_content_has_the_same_id_at_any_time_and_other_content_another(more: dict[str, str]) -> None:
    try:
        first = Columns().event(ROW | more, NOW)
    except InvalidEvent:
        return
    again = Columns().event(ROW | more, NOW + timedelta(days=1))
    other = Columns().event(ROW | more | {"title": "Another"}, NOW)

    assert first.event_id == again.event_id != other.event_id


def test_a_table_is_read_with_its_times_and_versions() -> None:
    found = lines(
        'product_id,title,images,v,changed\r\np1,"A ""red""\nshoe",http://a.test/1.jpg,17,2026-01-01T00:00:00Z\r\n',
        "version=v", "occurred_at=changed", scheme="counter",
    )  # fmt: skip

    assert isinstance(found[0].result, Event)
    assert (found[0].result.version, found[0].result.occurred_at.year) == (17, 2026)
    assert found[0].number == 3


def test_each_bad_row_is_named_by_its_line_and_column_and_the_others_are_taken() -> None:
    head = b"sku,name,images,price\n"
    good = b"ok,Shoe,http://a.test/1.jpg,5\n"
    bad = [b",Shoe,http://a.test/1.jpg,5\n", b"p,,http://a.test/1.jpg,5\n", b"p,Shoe,ftp://a.test,5\n"]
    bad += [b"p,Shoe,http://a.test/1.jpg,cheap\n", b"p,Shoe\n", b"p,\xff,http://a.test/1.jpg,5\n", b"p,Shoe,,\n"]

    found = lines(head + good + b"".join(bad) + good, "product_id=sku", "title=name")

    assert isinstance(found[0].result, Event)
    assert isinstance(found[-1].result, Event)
    said = refusals(found)
    assert list(said) == [3, 4, 5, 6, 7, 8, 9]
    assert "product_id (column sku): Field required" in said[3]
    assert "title (column name): Field required" in said[4]
    assert "images.0.url: must be an http" in said[5]
    assert "price: must be a number" in said[6]
    assert said[7] == "row: 2 cells, and 4 columns"
    assert said[8] == "name: not UTF-8"
    assert "images: " in said[9]


def test_in_the_counter_scheme_a_row_without_a_version_is_refused() -> None:
    found = lines("product_id,title,images\np,Shoe,http://a.test/1.jpg\n", scheme="counter")

    assert "version: required" in refusals(found)[2]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("product_id,title,images\n", ["title=name"], "no column 'name' for title"),
        ("product_id,title\n", [], "no column 'images'"),
        ("product_id,title,images,title\n", [], "'title' twice"),
        ("", [], "no column 'product_id'"),
    ],
)
def test_a_first_line_that_can_not_be_right_is_an_error(text: str, options: list[str], message: str) -> None:
    with pytest.raises(MapError, match=message):
        lines(text, *options)


@pytest.mark.parametrize("options", [["title"], ["=name"], ["title="], ["colour=farbe"], ["title=a", "title=b"]])
def test_a_map_that_can_not_be_followed_is_an_error_that_names_it(options: list[str]) -> None:
    with pytest.raises(MapError, match=f"--map {options[-1]}"):
        read_map(options)


def test_json_lines_may_be_rows_and_events() -> None:
    text = b"\n".join([json.dumps(ROW).encode(), b"", as_json(), b"[1]", b"{", b'{"product_id": "p"}'])
    found = lines(text, form=json_lines)

    assert [line.result.event_id for line in found[1:2] if isinstance(line.result, Event)] == ["event-1"]
    assert isinstance(found[0].result, Event)
    assert list(refusals(found)) == [4, 5, 6]
    assert found[-1].bytes_read == len(text)


@pytest.mark.parametrize("form", [csv_rows, json_lines])
def test_skipped_rows_are_passed_over_and_lines_keep_their_numbers(form: Any) -> None:
    rows = ["p1,Shoe,http://a.test/1.jpg", "", "p2,Shoe,http://a.test/1.jpg", "p3,Shoe,http://a.test/1.jpg"]
    text = "\n".join(["product_id,title,images", *rows])
    if form is json_lines:
        text = "\n".join(["", *[json.dumps(ROW | {"product_id": row[:2]}) if row else "" for row in rows]])

    found = lines(text, form=form, skip=2)

    assert [(line.number, cast(Event, line.result).product_id) for line in found] == [(5, "p3")]


@given(st.binary(max_size=300))
def test_whatever_is_in_a_table_is_an_event_or_a_refusal(data: bytes) -> None:
    for line in lines(b"product_id,title,images\n" + data):
        assert isinstance(line.result, (Event, InvalidEvent))
        assert str(line.result)


class Broker:
    """Takes events; they are durable when it is flushed. Refuses a flush after `fails_at`."""

    def __init__(self, fails_at: int = 10**9) -> None:
        self.durable = self.queued = 0
        self.most = 0
        self.fails_at = fails_at

    def publish(self, _event: Event, *, bulk: bool) -> None:
        assert bulk
        self.queued += 1
        self.most = max(self.most, self.queued)

    def flush(self, _timeout: float) -> None:
        if self.durable + self.queued > self.fails_at:
            raise OSError("the broker is away")
        self.durable, self.queued = self.durable + self.queued, 0


def many(count: int, bad: random.Random) -> Iterator[Line]:
    good, refused = Columns().event(ROW, NOW), InvalidEvent(cast(Any, None), "no")
    return (Line(number, number, refused if bad.random() < 0.1 else good) for number in range(1, count + 1))


def test_at_most_one_batch_is_queued_and_what_is_safe_is_durable() -> None:
    broker, told = Broker(fails_at=30_000), []
    sender = Sender(cast(Publisher, broker), lambda *_: None, lambda at: told.append(at.rows), bulk=True, skipped=100)
    with pytest.raises(OSError, match="away"):
        sender.send(many(100_000, random.Random(1)))

    at = sender.progress
    assert broker.most <= 5000
    assert 25_000 < broker.durable <= at.safe - 100 < 35_000
    assert at.sent + at.refused == at.rows - 100
    assert told


def test_no_more_are_sent_than_the_rate_allows() -> None:
    sender = Sender(None, lambda *_: None, lambda _: None, per_second=2000)
    before = datetime.now(UTC)
    sender.send(many(1000, random.Random(0)))

    assert (datetime.now(UTC) - before).total_seconds() >= 900 * 0.9 / 2000 - 0.15
