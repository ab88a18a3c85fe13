"""Where pretrained weights come from, and what to say when they don't."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class BackboneError(ValueError):
    """No model of that name, or its weights can't be had; the message says which and why."""


@contextmanager
def fetching(what: str, *, pretrained: bool) -> Iterator[None]:
    """Turn whatever goes wrong inside into a BackboneError that names `what`, and its hub if weights were wanted."""
    try:
        yield
    except Exception as error:  # hubs and model libraries raise nearly anything
        hint = " (weights are fetched from their hub once, then kept: can it be reached from here?)"
        raise BackboneError(f"{what}: {error}{hint if pretrained else ''}") from error


def likely(name: str, known: Iterable[str]) -> str:
    """A question that names what may have been meant, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""
