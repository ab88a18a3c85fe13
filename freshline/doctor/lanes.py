"""The view's consumer groups: how far each is behind, whether anybody works, and what retention is about to take."""

from __future__ import annotations

import time

from freshline.doctor.findings import Finding, failed, ok, skipped, together, warning
from freshline.doctor.site import Site
from stream.groups import group_members

_SOON = 0.5
"""The share of the retention that a record may have waited."""


def groups(site: Site) -> Finding:
    """How far each lane is behind, and whether it has a worker."""
    found = [_group(site, lane, topic) for lane, topic in site.lanes.items()]
    return together(found, "no topics yet")


def _group(site: Site, lane: str, topic: str) -> Finding:
    committed, bounds = site.reader.committed(site.groups[lane], topic), site.reader.bounds(topic)
    behind = sum(end - max(low, committed.get(number, low)) for number, (low, end) in bounds.items())
    workers = group_members(site.admin, [site.groups[lane]])[site.groups[lane]]
    message = f"{lane}: {behind} behind, {workers} worker(s)"
    if not committed:
        message += ", nothing committed yet"
    if behind and not workers:
        return warning(message, f"start one: freshline worker --lane {lane}")
    return ok(message)


def overtaking(site: Site) -> Finding:
    """Retention has not removed, and will not soon remove, what a lane has not worked on."""
    lanes = [(lane, topic) for lane, topic in site.lanes.items() if lane != "live"]
    found = [finding for lane, topic in lanes for finding in _overtaken(site, lane, topic)]
    return together(found, "retry and replay are ahead of their retention") if lanes else skipped("no topics yet")


def _overtaken(site: Site, lane: str, topic: str) -> list[Finding]:
    committed, bounds = site.reader.committed(site.groups[lane], topic), site.reader.bounds(topic)
    lost = sum(max(0, low - committed.get(number, low)) for number, (low, _) in bounds.items())
    if lost:
        message = f"topic {topic}: retention removed {lost} record(s) that the {lane} lane had not worked on"
        return [failed(message, "freshline doctor --repair; give the lane more workers, or the topic more retention")]
    kept_ms = int(site.topics[topic].config["retention.ms"])
    waiting = {number: (max(low, committed.get(number, low)), end) for number, (low, end) in bounds.items()}
    waited_ms = max(_age_ms(site, topic, number, span) for number, span in waiting.items())
    if 0 < kept_ms * _SOON < waited_ms:
        message = f"topic {topic}: a record has waited {_hours(waited_ms)}, and is kept for {_hours(kept_ms)}"
        return [warning(message, f"start workers: freshline worker --lane {lane}; or raise retention.ms")]
    return []


def _age_ms(site: Site, topic: str, partition: int, span: tuple[int, int]) -> int:
    """Of the oldest record that waits in a partition; 0 if none does."""
    oldest = next(site.reader.read(topic, {partition: span}), None)
    return 0 if oldest is None else round(time.time() * 1000) - oldest.timestamp()[1]


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / 3_600_000:.1f} h"
