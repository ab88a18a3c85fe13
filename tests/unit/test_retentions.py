"""Tombstones outlive every topic that could bring an old event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from freshline.settings import Settings
from schemas.retentions import retention_problems
from schemas.topics import DAY_MS, Topics

TOPICS = Topics("shop.")
DEFAULT = timedelta(days=21)


def configs(**changes: dict[str, str]) -> dict[str, dict[str, str]]:
    made = {spec.name: dict(spec.config) for spec in TOPICS.specs()}
    for topic, settings in changes.items():
        made[getattr(TOPICS, topic)] |= settings
    return made


def days(count: int) -> str:
    return str(count * DAY_MS)


def test_what_setup_makes_fits_the_default() -> None:
    assert retention_problems(TOPICS, configs(), DEFAULT) == []
    assert Settings(_env_file=None).tombstone_retention == DEFAULT


@pytest.mark.parametrize("topic", ["replay", "retry"])
def test_a_lane_keeps_records_until_their_segment_goes(topic: str) -> None:
    just = configs(**{topic: {"retention.ms": days(20), "segment.ms": str(DAY_MS - 1)}})
    over = configs(**{topic: {"retention.ms": days(20), "segment.ms": days(1)}})

    assert retention_problems(TOPICS, just, DEFAULT) == []
    assert retention_problems(TOPICS, over, DEFAULT) == [
        f"topic shop.catalog.{topic}: retention.ms {days(20)} + segment.ms {days(1)} is 21 days, but tombstones are"
        " swept after 21 days (FRESHLINE_TOMBSTONE_RETENTION_DAYS), so an old event could bring a deleted product"
        " back: set FRESHLINE_TOMBSTONE_RETENTION_DAYS to 22 or more, or lower retention.ms or segment.ms"
    ]


def test_a_null_value_waits_for_its_compaction_first() -> None:
    found = retention_problems(TOPICS, configs(events={"delete.retention.ms": days(18)}), DEFAULT)

    assert len(found) == 1
    assert "shop.catalog.events: min.compaction.lag.ms" in found[0]


def test_what_is_kept_for_ever_fits_no_tombstone() -> None:
    found = retention_problems(TOPICS, configs(retry={"retention.ms": "-1"}), timedelta(days=100_000))

    assert len(found) == 1
    assert "is no end" in found[0]


def test_topics_that_are_not_there_are_not_judged() -> None:
    assert retention_problems(TOPICS, {}, timedelta(days=1)) == []


@pytest.mark.parametrize(
    ("topic", "setting", "value", "problem"),
    [
        ("events", "cleanup.policy", "delete", "cleanup.policy is delete, not compact"),
        ("events", "min.compaction.lag.ms", "0", f"min.compaction.lag.ms is 0, not {days(3)} or more"),
        ("events", "min.compaction.lag.ms", days(30), None),
        ("retry", "retention.ms", "-1", None),
        ("retry", "segment.ms", days(7), None),
        ("dead_letters", "max.message.bytes", "1048588", "max.message.bytes is 1048588, not 4194304 or more"),
    ],
)
def test_a_period_may_be_longer_and_never_shorter(topic: str, setting: str, value: str, problem: str | None) -> None:
    name = getattr(TOPICS, topic)
    spec = next(spec for spec in TOPICS.specs() if spec.name == name)

    assert spec.differences(spec.config | {setting: value}) == ([f"topic {name}: {problem}"] if problem else [])
