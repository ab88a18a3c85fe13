"""The topics, and what each must be set to."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 24 * 60 * 60 * 1000

MAX_DEAD_LETTER_BYTES = 4 * 1024 * 1024
"""A record of the broker's default limit, 1 MiB, in base64, and all that is said about it."""


@dataclass(frozen=True)
class TopicSpec:
    """A topic's name and the broker settings that it must have."""

    name: str
    config: dict[str, str]


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
        "message.timestamp.type": "LogAppendTime",
    }
