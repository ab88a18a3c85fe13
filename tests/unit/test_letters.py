from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from freshline.cli.letter_reading import newest
from freshline.cli.letter_view import details, is_meant
from freshline.letters import ADVICE, Selection, hosts, moment, shown
from schemas.dead_letters import DeadLetter, Reason
from schemas.events import MAX_EVENT_BYTES
from schemas.topics import DAY_MS, Topics
from stream.letterbox import Filed
from stream.redrive import Redrivable, overwritten
from tests.factories import NOW, VIEW, as_json

DOCS = Path(__file__).parents[2] / "docs" / "dead-letters.md"
NOW_MS = int(NOW.timestamp() * 1000)


def letter(**changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "view": VIEW,
        "topic": "catalog.events",
        "partition": 3,
        "offset": 42,
        "timestamp_ms": NOW_MS - DAY_MS,
        "key": b"p1",
        "value": as_json(),
        "headers": [],
        "product_id": "p1",
        "reason": Reason.IMAGE_MISSING,
        "message": "http://images.test/a: 404",
        "stage": "fetch",
        "attempts": 1,
        "worker_version": "0.1.0",
        "time": NOW,
    }
    return DeadLetter(**(fields | changes))


def filed(**changes: Any) -> Filed:
    made = letter(**changes)
    return Filed(made.record_key, made)


# --- choosing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "passed"),
    [
        ({"reasons": frozenset({Reason.IMAGE_MISSING, Reason.INTERNAL})}, {"reasons": frozenset({Reason.INTERNAL})}),
        ({"product": "p1"}, {"product": "p"}),
        ({"since": NOW}, {"since": NOW + timedelta(seconds=1)}),
        ({"until": NOW + timedelta(seconds=1)}, {"until": NOW}),
        ({"host": "Images.Test"}, {"host": "mages.test"}),
        ({"view": VIEW}, {"view": "products-0123456789ab-2"}),
        ({"lane": "live"}, {"lane": "replay"}),
        ({"redriven": False}, {"redriven": True}),
    ],
    ids=["reason", "product", "since", "until", "host", "view", "lane", "redriven"],
)
def test_a_selection_takes_what_it_names_and_nothing_else(chosen: dict[str, Any], passed: dict[str, Any]) -> None:
    assert Selection().takes(letter())
    assert Selection(**chosen).takes(letter())
    assert not Selection(**passed).takes(letter())
    assert not Selection(**(chosen | passed)).takes(letter())


def test_a_redriven_letter_is_chosen_as_such() -> None:
    assert Selection(redriven=True).takes(letter(redriven_at=NOW))
    assert not Selection(redriven=False).takes(letter(redriven_at=NOW))


def test_the_product_of_an_event_that_could_not_be_read_is_its_key() -> None:
    assert Selection(product="p1").takes(letter(product_id=None))
    assert letter(product_id=None, key=None).product == ""
    assert letter(product_id=None, key=b"\xff").product == "�"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[" * 100_000,
        b"{}",
        b'{"product": null}',
        b'{"product": {"images": 5}}',
        b'{"product": []}',
    ],
)
def test_a_host_is_found_in_the_message_whatever_the_value_is(value: bytes | None) -> None:
    message = "https://cdn.test:8443/a: no answer; HTTP://Other.test/b: 503"

    assert hosts(letter(value=value, message=message)) == {"cdn.test", "other.test"}


def test_the_hosts_of_all_images_are_found() -> None:
    images = [{"url": url} for url in ("http://one.test:80/a", "file:///srv/a.jpg", "https://two.test/b", "http://[/c")]

    assert hosts(letter(value=as_json(product_images=images), message="")) == {"one.test", "two.test"}


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(weeks=1)),
    ],
)
def test_an_age_is_a_time_so_long_ago(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    found = moment(text)
    assert before - ago <= found <= datetime.now(UTC) - ago


def test_a_time_keeps_its_zone() -> None:
    assert moment("2026-06-01T14:00:00+02:00") == moment("2026-06-01T12:00:00Z") == NOW


@pytest.mark.parametrize("text", ["", "yesterday", "2026-06-01", "2026-06-01T12:00:00", "2 h", "-2h", "2y", "999999w"])
def test_what_is_no_time_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}'"):
        moment(text)


def test_the_newest_are_shown_and_all_are_counted() -> None:
    letters = [
        filed(offset=number, time=NOW + timedelta(seconds=number % 7), reason=list(Reason)[number % 2])
        for number in range(21)
    ]
    counts: Counter[str] = Counter()

    shown_ones = newest(iter(letters), 3, counts)

    assert [entry.letter.time for entry in shown_ones] == [NOW + timedelta(seconds=6)] * 3
    assert counts == {"invalid_key": 11, "invalid_json": 10}


@pytest.mark.parametrize(
    ("name", "meant"),
    [(f"{VIEW}/catalog.events/3/42", True), ("3/42", True), ("p1", True), ("42", False), ("/3/42", False), ("", False)],
)
def test_a_letter_is_named_by_its_key_by_its_place_or_by_its_product(name: str, meant: bool) -> None:
    assert is_meant(filed(), name) is meant


# --- showing --------------------------------------------------------------------------------------------------------


def test_what_does_not_print_is_written_out() -> None:
    assert shown("é\x1b[31m\n\u202e") == "é\\x1b[31m\\n\\u202e"


def test_details_of_bytes_that_are_no_text_can_be_written_as_json() -> None:
    found = details(filed(key=b"\xff", value=b"\x00\xff", headers=[("bulk", b"1"), ("trace", None), ("x", b"\xfe")]))

    assert json.loads(json.dumps(found))["record"] == {
        "key": "\\xff",
        "headers": [["bulk", "1"], ["trace", None], ["x", "\\xfe"]],
        "value": "\x00\\xff",
    }


@pytest.mark.parametrize("reason", Reason)
def test_there_is_advice_for_each_reason_and_the_docs_give_the_same(reason: Reason) -> None:
    assert f"| `{reason.value}` | {ADVICE[reason]} |" in DOCS.read_text(encoding="utf-8").splitlines()


# --- what may be redriven -------------------------------------------------------------------------------------------

RULES = Redrivable(Topics(), timedelta(days=21))


@pytest.mark.parametrize(
    "changes",
    [{}, {"value": None}, {"key": None}, {"redriven_at": NOW}, {"timestamp_ms": NOW_MS - 13 * DAY_MS}],
    ids=["as it is", "null value", "null key", "redriven", "13 days old"],
)
def test_a_letter_may_be_redriven(changes: dict[str, Any]) -> None:
    assert RULES.refusal(letter(**changes), NOW) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"topic": "catalog.replay"}, "catalog.replay"),
        ({"topic": "other.catalog.events"}, "other.catalog.events"),
        ({"value": b"x" * (MAX_EVENT_BYTES + 1)}, "900,001 bytes"),
        ({"timestamp_ms": NOW_MS - 13 * DAY_MS - 1}, "13 days old"),  # on catalog.replay it may wait for 8 days more
        ({"timestamp_ms": NOW_MS - 30 * DAY_MS}, "FRESHLINE_TOMBSTONE_RETENTION_DAYS"),
        ({"timestamp_ms": -1}, "publish the product again"),
    ],
)
def test_a_letter_may_not_be_redriven_and_the_reason_is_said(changes: dict[str, Any], why: str) -> None:
    refusal = RULES.refusal(letter(**changes), NOW)

    assert refusal is not None
    assert why in refusal


# --- marks that hid a newer letter ----------------------------------------------------------------------------------


def value_of(**changes: Any) -> bytes:
    return letter(**changes).model_dump_json().encode()


OURS, FAILED_AGAIN, EARLIER_MARK = (
    value_of(redriven_at=NOW),
    value_of(attempts=2),
    value_of(redriven_at=NOW - timedelta(1)),
)


@pytest.mark.parametrize(
    ("news", "put_back"),
    [
        ([OURS], None),
        ([FAILED_AGAIN, OURS], FAILED_AGAIN),
        ([OURS, FAILED_AGAIN], None),
        ([FAILED_AGAIN, OURS, FAILED_AGAIN], None),
        ([EARLIER_MARK, FAILED_AGAIN, OURS], FAILED_AGAIN),
        ([b"no letter", OURS], b"no letter"),
        ([FAILED_AGAIN], None),
    ],
)
def test_a_newer_letter_that_a_mark_hid_is_found(news: list[bytes], put_back: bytes | None) -> None:
    expected = {} if put_back is None else {b"k": put_back}

    assert overwritten([(b"k", value) for value in news], {b"k"}, NOW) == expected
    assert overwritten([(b"other", value) for value in news], {b"k"}, NOW) == {}


def test_a_letter_removed_before_its_mark_is_removed_again() -> None:
    assert overwritten([(b"k", None), (b"k", OURS)], {b"k"}, NOW) == {b"k": None}
