"""What was released once is read for ever: by the schemas, and by the models with the same result."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.dead_letters import DeadLetter
from schemas.events import VersionScheme, read_event
from schemas.export import FOLDER, MODELS
from schemas.payloads import Payload
from tests.factories import NOW
from tests.json_schema import breaks, fits

RELEASED = FOLDER / "released"
EVENT = json.loads((RELEASED / "event.v1.schema.json").read_text(encoding="utf-8"))


def named(folder: Path, pattern: str) -> list[Any]:
    found = sorted(folder.glob(pattern))
    assert found, f"{folder}: no {pattern}"
    return [pytest.param(json.loads(path.read_text(encoding="utf-8")), id=path.stem) for path in found]


@pytest.mark.parametrize("name", MODELS)
def test_the_current_schema_takes_all_that_each_released_one_takes(name: str) -> None:
    current = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    released = sorted(RELEASED.glob(f"{name}.v*.schema.json"))

    assert released
    for path in released:
        assert breaks(json.loads(path.read_text(encoding="utf-8")), current) == [], path.name


@pytest.mark.parametrize("example", named(RELEASED / "examples", "event.*.json"))
def test_a_released_event_is_read_as_ever(example: dict[str, Any]) -> None:
    value = None if example["value"] is None else json.dumps(example["value"]).encode()
    versions: VersionScheme = example["versions"]

    event = read_event(example["key"].encode(), value, example["timestamp_ms"], versions, NOW)

    assert json.loads(event.model_dump_json()) == example["read"]


@pytest.mark.parametrize("example", named(RELEASED / "examples", "dead_letter.*.json"))
def test_a_released_dead_letter_is_read_as_ever(example: dict[str, Any]) -> None:
    assert json.loads(DeadLetter.model_validate_json(json.dumps(example["value"])).model_dump_json()) == example["read"]


@pytest.mark.parametrize("example", named(RELEASED / "examples", "payload.*.json"))
def test_a_released_payload_is_read_as_ever(example: dict[str, Any]) -> None:
    assert json.loads(Payload.model_validate_json(json.dumps(example["value"])).model_dump_json()) == example["read"]


# --- the comparison itself ------------------------------------------------------------------------------------------

PRODUCT = EVENT["$defs"]["Product"]["properties"]
Change = Callable[[dict[str, Any]], object]


def product(schema: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = schema["$defs"]["Product"]["properties"]
    return properties


BREAKS: list[tuple[str, Change, str]] = [
    ("a field removed", lambda new: new["properties"].pop("version"), "version: removed"),
    ("a field of the product removed", lambda new: product(new).pop("brand"), "product.brand: removed"),
    ("a field of an image removed", lambda new: new["$defs"]["Image"]["properties"].pop("digest"), "images[].digest:"),
    ("a type narrowed", lambda new: product(new)["price"]["anyOf"].pop(0), "product.price: type was number"),
    ("null refused", lambda new: product(new)["category"]["anyOf"].pop(1), "product.category: type was null"),
    ("a field newly required", lambda new: new["required"].append("version"), "version: newly required"),
    ("a required field added", lambda new: _add_required(new, "shop"), "shop: newly required"),
    ("a longest length tightened", lambda new: _limit(new, "title", maxLength=100), "product.title: maxLength"),
    ("a least length tightened", lambda new: _limit(new, "title", minLength=2), "product.title: minLength"),
    ("fewer items", lambda new: _limit(new, "images", maxItems=8), "product.images: maxItems was 16, is 8"),
    ("fewer attributes", lambda new: _limit(new, "attributes", maxProperties=8), "product.attributes: maxProperties"),
    ("a maximum lowered", lambda new: new["properties"]["version"].update(maximum=5), "version: maximum"),
    ("a minimum raised", lambda new: new["properties"]["version"].update(minimum=5), "version: minimum"),
    ("a limit added", lambda new: new["properties"]["product_id"].update(multipleOf=5), "product_id: multipleOf"),
    ("another pattern", lambda new: new["properties"]["event_id"].update(pattern="^x"), "event_id: pattern"),
    (
        "a choice removed",
        lambda new: new["properties"]["type"]["enum"].remove("updated"),
        "type: no longer takes updated",
    ),
    ("any text to a choice", lambda new: _limit(new, "title", enum=["a"]), "product.title: no longer takes any other"),
    ("a choice to a number", lambda new: new["properties"].update(type={"type": "integer"}), "type: no longer takes"),
    ("unknown fields refused", lambda new: new.update(additionalProperties=False), "(whole): additionalProperties"),
    ("an attribute's kind removed", lambda new: _kinds(new).pop(1), "product.attributes.*: type was boolean"),
    ("another condition", lambda new: new.update({"if": {}}), "(whole): if"),
]


def _add_required(schema: dict[str, Any], name: str) -> None:
    schema["properties"][name] = {"type": "string"}
    schema["required"].append(name)


def _limit(schema: dict[str, Any], field: str, **limits: Any) -> None:
    product(schema)[field].update(limits)


def _kinds(schema: dict[str, Any]) -> list[Any]:
    (kinds,) = product(schema)["attributes"]["patternProperties"].values()
    found: list[Any] = kinds["anyOf"]
    return found


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in BREAKS], ids=[case[0] for case in BREAKS])
def test_each_kind_of_break_is_found_and_its_field_named(change: Change, said: str) -> None:
    current = copy.deepcopy(EVENT)
    change(current)

    found = breaks(EVENT, current)

    assert len(found) == 1, found
    assert said in found[0]


WIDER: dict[str, Change] = {
    "nothing": lambda new: None,
    "an optional field": lambda new: new["properties"].update(shop={"type": "string"}),
    "a longer text": lambda new: _limit(new, "title", maxLength=2048),
    "no longest length": lambda new: product(new)["title"].pop("maxLength"),
    "a shorter text": lambda new: _limit(new, "title", minLength=0),
    "a field no longer required": lambda new: new["required"].remove("event_id"),
    "another choice": lambda new: new["properties"]["type"]["enum"].append("hidden"),
    "any text for a choice": lambda new: new["properties"].update(type={"type": "string"}),
    "another kind": lambda new: product(new)["brand"]["anyOf"].append({"type": "integer"}),
    "null": lambda new: product(new).update(title={"anyOf": [product(new)["title"], {"type": "null"}]}),
    "any number for a whole one": lambda new: new["properties"]["version"].update(type="number"),
    "another description": lambda new: new.update(description="Other words.", title="Other"),
    "no condition": lambda new: [new.pop(word) for word in ("if", "else")],
}


@pytest.mark.parametrize("change", WIDER.values(), ids=WIDER)
def test_what_only_takes_more_is_no_break(change: Change) -> None:
    current = copy.deepcopy(EVENT)
    change(current)

    assert breaks(EVENT, current) == []


@pytest.mark.parametrize("example", named(RELEASED / "examples", "event.*.json"))
def test_a_released_example_fits_its_schema(example: dict[str, Any]) -> None:
    # A deleted event's product is none of the reader's business, but a publisher should not send a wrong one.
    value = example["value"]
    if value is not None and not (value["type"] == "deleted" and "product" in value):
        assert fits(value, EVENT, EVENT)
