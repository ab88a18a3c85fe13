from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.bundles import Manifest
from schemas.dead_letters import DeadLetter, Reason
from schemas.export import schema_files
from schemas.topics import DAY_MS, Topics
from tests.factories import NOW

A_DIGEST = "sha256:" + "a" * 64
MANIFEST: dict[str, Any] = {
    "name": "small",
    "revision": "1",
    "space": "0123456789ab",
    "reference": A_DIGEST,
    "dimension": 4,
    "input_size": 64,
    "resize": "pad",
    "image": {"fp32": "image.fp32.onnx"},
    "files": {"image.fp32.onnx": A_DIGEST},
}
LETTER = DeadLetter(
    view="products-0123456789ab-1",
    topic="catalog.events",
    partition=3,
    offset=42,
    timestamp_ms=1_780_000_000_000,
    key=b"p1",
    value=b"\xff\x00 not text",
    headers=[("bulk", b"1"), ("bulk", b"\xff"), ("trace", None)],
    product_id=None,
    reason=Reason.INVALID_JSON,
    message="Invalid JSON",
    stage="consume",
    attempts=1,
    worker_version="0.1.0",
    time=NOW,
)


@pytest.mark.parametrize(("path", "text"), schema_files().items(), ids=lambda value: getattr(value, "name", ""))
def test_the_checked_in_schema_is_current(path: Any, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run `python -m schemas.export`"


def test_the_event_schema_says_what_is_required_and_allows_unknown_fields() -> None:
    event = next(json.loads(text) for path, text in schema_files().items() if path.name == "event.schema.json")

    assert sorted(event["required"]) == ["event_id", "occurred_at", "product_id", "type"]
    assert event.get("additionalProperties", True) is True


# --- dead letters ---------------------------------------------------------------------------------------------------


def test_a_dead_letter_survives_its_json_byte_for_byte() -> None:
    assert DeadLetter.model_validate_json(LETTER.model_dump_json()) == LETTER


def test_a_dead_letter_of_a_null_record_survives_its_json() -> None:
    letter = LETTER.model_copy(update={"key": None, "value": None, "headers": []})

    assert DeadLetter.model_validate_json(letter.model_dump_json()) == letter


def test_a_redelivered_record_has_the_key_of_its_first_dead_letter() -> None:
    again = LETTER.model_copy(update={"time": NOW + timedelta(hours=1), "message": "other", "attempts": 2})

    assert again.record_key == LETTER.record_key == b"products-0123456789ab-1/catalog.events/3/42"


# --- topics ---------------------------------------------------------------------------------------------------------


def test_a_prefix_is_on_every_topic() -> None:
    names = [spec.name for spec in Topics("shop.").specs()]

    assert len(set(names)) == 5
    assert all(name.startswith("shop.") for name in names)


def test_deletes_stay_on_the_compacted_topic_longer_than_wrong_order_can_hide() -> None:
    events = next(spec for spec in Topics().specs() if spec.name == "catalog.events")

    assert events.config["cleanup.policy"] == "compact"
    assert DAY_MS <= int(events.config["min.compaction.lag.ms"]) < int(events.config["delete.retention.ms"])


# --- the bundle's manifest ------------------------------------------------------------------------------------------


def test_a_manifest_is_read_as_it_is() -> None:
    assert Manifest.model_validate_json(json.dumps(MANIFEST)).image == {"fp32": "image.fp32.onnx"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Small Model"),
        ("revision", ""),
        ("space", "0123456789AB"),
        ("space", "0123"),
        ("reference", "a" * 64),
        ("dimension", 0),
        ("input_size", 4),
        ("resize", "stretch"),
        ("distance", "euclid"),
        ("image", {}),
        ("image", {"fp64": "image.fp32.onnx"}),
        ("image", {"fp32": "absent.onnx"}),
        ("image", {"fp32": "../image.onnx"}),
        ("files", {}),
        ("files", {"image.fp32.onnx": "a" * 64}),
        ("files", {"image.fp32.onnx": A_DIGEST, "/etc/passwd": A_DIGEST}),
        ("parity", {"int8": {"images": 10, "mean_cosine": 1, "min_cosine": 1}}),
        ("parity", {"fp32": {"images": 10, "mean_cosine": 2, "min_cosine": 1}}),
        ("unknown", 1),
    ],
)
def test_a_manifest_that_is_wrong_somewhere_is_refused_and_the_place_named(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate_json(json.dumps(MANIFEST | {field: value}))

    assert field in str(caught.value)
