"""As much of JSON Schema as our schemas say: what fits, and what a newer one refuses that an older one took."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

SAYS_NOTHING = {"$defs", "$schema", "default", "description", "format", "title"}
LOWER = {"minimum", "minLength", "minItems", "minProperties", "exclusiveMinimum"}
UPPER = {"maximum", "maxLength", "maxItems", "maxProperties", "exclusiveMaximum"}
TYPES: dict[str, Callable[[Any], bool]] = {
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
}


def fits(value: Any, schema: Schema, root: Schema) -> bool:
    """Whether a value is as the schema says; a keyword that is not known here is an error."""
    return all(_holds(word, said, value, schema, root) for word, said in schema.items() if word not in SAYS_NOTHING)


def _holds(word: str, said: Any, value: Any, schema: Schema, root: Schema) -> bool:
    rules: dict[str, Callable[[], bool]] = {
        "$ref": lambda: fits(value, _resolved(said, root), root),
        "anyOf": lambda: any(fits(value, option, root) for option in said),
        "const": lambda: bool(value == said),
        "enum": lambda: value in said,
        "if": lambda: fits(value, schema.get("then" if fits(value, said, root) else "else", {}), root),
        "then": lambda: True,
        "else": lambda: True,
        "type": lambda: TYPES[said](value),
        "pattern": lambda: not isinstance(value, str) or bool(re.fullmatch(said, value)),
        "minimum": lambda: not TYPES["number"](value) or value >= said,
        "maximum": lambda: not TYPES["number"](value) or value <= said,
        "minLength": lambda: not isinstance(value, str) or len(value) >= said,
        "maxLength": lambda: not isinstance(value, str) or len(value) <= said,
        "minItems": lambda: not isinstance(value, list) or len(value) >= said,
        "maxItems": lambda: not isinstance(value, list) or len(value) <= said,
        "items": lambda: not isinstance(value, list) or all(fits(item, said, root) for item in value),
        "maxProperties": lambda: not isinstance(value, dict) or len(value) <= said,
        "required": lambda: not isinstance(value, dict) or set(said) <= set(value),
        "propertyNames": lambda: not isinstance(value, dict) or all(fits(name, said, root) for name in value),
        "properties": lambda: (
            not isinstance(value, dict) or all(fits(value[name], said[name], root) for name in said if name in value)
        ),
        "patternProperties": lambda: (
            not isinstance(value, dict)
            or all(
                fits(value[name], inner, root)
                for pattern, inner in said.items()
                for name in value
                if re.fullmatch(pattern, name)
            )
        ),
    }
    return rules[word]()


def _resolved(reference: str, root: Schema) -> Schema:
    schema: Schema = root["$defs"][reference.removeprefix("#/$defs/")]
    return schema


def breaks(released: Schema, current: Schema) -> list[str]:
    """What the current schema no longer has or takes, each with the field's path; an unknown change counts as one."""
    return list(_Comparison(released, current).of(released, current, ""))


class _Comparison:
    def __init__(self, released: Schema, current: Schema) -> None:
        self._released, self._current = released, current

    def of(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        old = _resolved(old["$ref"], self._released) if "$ref" in old else old
        new = _resolved(new["$ref"], self._current) if "$ref" in new else new
        where = path or "(whole)"
        if "anyOf" in old or "anyOf" in new:
            yield from self._options(old.get("anyOf", [old]), new.get("anyOf", [new]), where)
            return
        if "enum" in old or "enum" in new:
            yield from self._values(old, new, where)
            return
        if not _as_wide("type", old.get("type"), new.get("type")):
            yield f"{where}: type was {old.get('type')}, is {new.get('type')}"
            return
        for word in sorted((set(old) | set(new)) - SAYS_NOTHING):
            yield from self._keyword(word, old, new, path, where)

    def _options(self, old: list[Schema], new: list[Schema], where: str) -> Iterator[str]:
        for option in old:
            found = [list(self.of(option, candidate, where)) for candidate in new]
            if all(found):  # none of them takes all that it took: the nearest one says what is missing
                yield from min(found, key=len)

    def _values(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        if "enum" not in new:
            gone = [] if new.get("type", old.get("type")) == old.get("type") else ["any"]
        elif "enum" not in old:
            gone = ["any other"]
        else:
            gone = [str(value) for value in old["enum"] if value not in new["enum"]]
        if gone:
            yield f"{where}: no longer takes {', '.join(gone)}"

    def _keyword(self, word: str, old: Schema, new: Schema, path: str, where: str) -> Iterator[str]:
        before, after = old.get(word), new.get(word)
        if word == "properties":
            yield from self._fields(before or {}, after or {}, path)
        elif word in ("items", "additionalProperties") and isinstance(before, dict) and isinstance(after, dict):
            yield from self.of(before, after, f"{path}[]" if word == "items" else f"{path}.*")
        elif word == "propertyNames" and before and after:
            yield from self.of(before, after, f"{path}(name)")
        elif word == "patternProperties" and before and after and list(before) == list(after):
            for pattern in before:
                yield from self.of(before[pattern], after[pattern], f"{path}.*")
        elif word == "required":
            yield from (
                f"{path}.{name}".lstrip(".") + ": newly required" for name in after or () if name not in (before or ())
            )
        elif not _as_wide(word, before, after):
            yield f"{where}: {word} was {before}, is {after}"

    def _fields(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        for name in old:
            field = f"{path}.{name}".lstrip(".")
            if name in new:
                yield from self.of(old[name], new[name], field)
            else:
                yield f"{field}: removed"


def _as_wide(word: str, before: Any, after: Any) -> bool:
    if after is None or before == after:
        return True
    if word == "type":
        return (before, after) == ("integer", "number")
    if before is None:
        return False
    return after <= before if word in LOWER else after >= before if word in UPPER else False
