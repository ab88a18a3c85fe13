"""One event's way through the pipeline, as its log lines tell it: where it stands, and how long each step took.

Whatever is logged while an event is being worked on carries its place, its id and its product, by a context variable.
Steps are timed and told only for products that are followed, and in the debug log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field

import structlog
from structlog.types import EventDict, WrappedLogger

from schemas.headers import Source

log = structlog.get_logger(__name__)

_NOTHING: AbstractContextManager[None] = nullcontext()


def is_debugging() -> bool:
    """Whether the debug log is on."""
    return logging.getLogger(__name__).isEnabledFor(logging.DEBUG)


class Followed:
    """Which products are followed.

    Args:
        patterns: product ids; one that ends in `*` stands for all that begin so.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._ids = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
        self._prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._ids or product_id.startswith(self._prefixes)


@dataclass(slots=True)
class Trail:
    """An event that is being worked on."""

    view: str
    """That it is indexed into."""
    lane: str
    """That it came by."""
    place: Source
    """In `catalog.events`."""
    event_id: str
    product_id: str
    followed: bool = False
    """Its steps are logged at info."""
    timed: bool = False
    begun: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each step."""

    @contextmanager
    def step(self, name: str, fields: dict[str, object]) -> Iterator[None]:
        """Time a step; steps of one name beside each other count as the longest."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - begun
            self.seconds[name] = round(max(seconds, self.seconds.get(name, 0.0)), 4)
            if self.followed:
                log.info(name, seconds=round(seconds, 4), **fields)


_current: ContextVar[Trail | None] = ContextVar("trail", default=None)


def follow(trail: Trail) -> None:
    """Everything that this task logs from now on is about this event."""
    _current.set(trail)


def settled(outcome: str) -> None:
    """The event at hand is done: one line for all of it."""
    trail = _current.get()
    if trail is None or not trail.timed:
        return
    seconds = {**trail.seconds, "total": round(time.perf_counter() - trail.begun, 4)}
    note("settled", outcome=str(outcome), seconds=seconds)


def step(name: str, **fields: object) -> AbstractContextManager[None]:
    """Time what is done for the event at hand; costs nothing where nobody wants to know."""
    trail = _current.get()
    return _NOTHING if trail is None or not trail.timed else trail.step(name, fields)


def note(text: str, **fields: object) -> None:
    """Say something of the event at hand: at info where its product is followed, else at debug."""
    trail = _current.get()
    if trail is not None and trail.followed:
        log.info(text, **fields)
    else:
        log.debug(text, **fields)


def add_trail(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """A structlog processor: which event a line is about."""
    trail = _current.get()
    if trail is not None:
        about = {
            "view": trail.view,
            "lane": trail.lane,
            "partition": trail.place.partition,
            "offset": trail.place.offset,
            "event_id": trail.event_id,
            "product_id": trail.product_id,
        }
        line.update(about | {"followed": True} if trail.followed else about)
    return line
