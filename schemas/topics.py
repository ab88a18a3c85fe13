"""The topics, and what each must be set to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DAY_MS = 24 * 60 * 60 * 1000

MAX_DEAD_LETTER_BYTES = 4 * 1024 * 1024
"""A record of the broker's default limit, 1 MiB, in base64, and all that is said about it."""

_AT_LEAST = frozenset({"retention.ms", "delete.retention.ms", "min.compaction.lag.ms", "max.message.bytes"})


@dataclass(frozen=True)
class TopicSpec:
    """A topic's name and the broker settings that `freshline setup` makes it with."""

    name: str
    config: dict[str, str]

    def differences(self, actual: Mapping[str, str]) -> list[str]:
        """Where an existing topic's settings are not as they must be: periods and sizes may be larger, never smaller.

        `segment.ms` is judged together with what it is for: see `schemas.retentions`.
        """
        return [
            f"topic {self.name}: {name} is {actual.get(name)}, not {value}{' or more' if name in _AT_LEAST else ''}"
            for name, value in self.config.items()
            if name != "segment.ms" and not _suffices(name, actual.get(name), value)
        ]


@dataclass(frozen=True)
class Topics:
    """The topics of one installation; `prefix` keeps several apart on one cluster."""

    prefix: str = ""

    @property
    def events(self) -> str:
        """Every change of every product: the source that all views are made from."""
        return f"{self.prefix}catalog.events"

    @property
    def replay(self) -> str:
        """Events to be indexed again, and imports."""
        return f"{self.prefix}catalog.replay"

    @property
    def retry(self) -> str:
        """Events parked because their image host is ill."""
        return f"{self.prefix}catalog.retry"

    @property
    def dead_letters(self) -> str:
        """Records that were given up on."""
        return f"{self.prefix}catalog.dead-letters"

    @property
    def search_events(self) -> str:
        """What shoppers searched and chose."""
        return f"{self.prefix}search.events"

    def specs(self) -> list[TopicSpec]:
        """Each topic as `freshline setup` makes it. Periods are in milliseconds."""
        return [
            TopicSpec(
                self.events,
                {
                    "cleanup.policy": "compact",
                    "message.timestamp.type": "LogAppendTime",
                    # Longer than any outage to be survived: workers must see an out-of-order event before
                    # compaction keeps the wrong one.
                    "min.compaction.lag.ms": str(3 * DAY_MS),
                    # Longer than the longest rebuild: a view that starts at the earliest offset must meet every delete.
                    "delete.retention.ms": str(14 * DAY_MS),
                },
            ),
            TopicSpec(self.replay, _passing(7)),
            TopicSpec(self.retry, _passing(7)),
            TopicSpec(
                self.dead_letters,
                {
                    "cleanup.policy": "compact",
                    "message.timestamp.type": "LogAppendTime",
                    "max.message.bytes": str(MAX_DEAD_LETTER_BYTES),
                },
            ),
            TopicSpec(self.search_events, _passing(7)),
        ]


def _passing(days: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(days * DAY_MS),
        # A record lives until the whole of its segment is past the retention.
        "segment.ms": str(DAY_MS),
        "message.timestamp.type": "LogAppendTime",
    }


def _suffices(name: str, actual: str | None, wanted: str) -> bool:
    if actual is None or name not in _AT_LEAST:
        return actual == wanted
    return int(actual) >= int(wanted) or int(actual) < 0  # -1: for ever
