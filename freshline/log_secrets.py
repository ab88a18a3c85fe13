"""No secrets in a log line: values that are known, fields by their names, credentials and queries of URLs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from structlog.types import EventDict, WrappedLogger

MASK = "***"

_SHORTEST = 4
"""Characters of a value that is looked for everywhere; to mask a shorter one would spoil every line, and name it."""

_NAMES = r"password|passwd|token|secret|authorization|api[_-]?key|cookie"
_NAMED = re.compile(rf"(^|[_-])({_NAMES})$", re.IGNORECASE)
_IN_TEXT = re.compile(
    rf"((?<![a-z])(?:{_NAMES})[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer)\s+)?)(?![\"'\s*])[^\s\"',;}})\]]+",
    re.IGNORECASE,
)
_URL = re.compile(r"([a-z][a-z0-9+.-]*://)([^\s/?#]*@)?([^\s?#]*)([?#]\S*?)?(?=[:,;.)\]}>\"']*(?:\s|$))", re.IGNORECASE)


class Masker:
    """A structlog processor, for where everything in a line is there and nothing is rendered yet.

    Args:
        secrets: values that must not be seen, wherever they are.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        longest_first = sorted(found, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if found else None

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        """The line without secrets."""
        return {name: self._field(name, value) for name, value in line.items()}

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._secrets is not None:
            text = self._secrets.sub(MASK, text)
        if "://" in text:
            text = _URL.sub(_without_secrets, text)
        return _IN_TEXT.sub(rf"\1{MASK}", text)

    def _field(self, name: str, value: Any) -> Any:
        return MASK if value is not None and _NAMED.search(name) else self._value(value)

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._field(str(name), inner) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(inner) for inner in value]
        return self.text(repr(value))


def _forms(secret: str) -> set[str]:
    """As it may stand in a text: as it is, in a URL, in JSON, in a repr."""
    return {secret, quote(secret, safe="", errors="surrogateescape"), json.dumps(secret)[1:-1], repr(secret)[1:-1]}


def _without_secrets(url: re.Match[str]) -> str:
    scheme, user, place, query = url.groups()
    return f"{scheme}{MASK + '@' if user else ''}{place}{query[0] + MASK if query else ''}"
