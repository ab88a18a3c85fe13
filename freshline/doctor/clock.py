"""Whether this machine's clock agrees with the others': events from the future are refused by it."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from freshline.doctor.findings import Finding, failed, ok, skipped, warning
from freshline.doctor.site import TIMEOUT_SECONDS, Site
from schemas.events import MAX_AHEAD

NOTICEABLE_SECONDS = 5.0
_ADVICE = "let both machines keep time by NTP (chrony, systemd-timesyncd)"


def against_qdrant(site: Site) -> Finding:
    """The Date of an answer of Qdrant's, which is of whole seconds: it tells differences of a few seconds or more."""
    before = time.time()
    date = _date(site.settings.qdrant_url)
    if date is None:
        return skipped("Qdrant's answers have no Date")
    # Somewhere between these the answer was made, in the second that its Date begins.
    behind, ahead = date - time.time(), before - (date + 1)
    return _judge(max(behind, ahead, 0.0), "behind" if behind > ahead else "ahead of", "Qdrant's")


def against_kafka(site: Site) -> Finding:
    """The newest event's append time, which is the broker's: it only tells whether this clock is behind."""
    topic = site.settings.topics.events
    if topic not in site.topics:
        return skipped(f"topic {topic} is missing")
    ends = {number: end for number, (low, end) in site.reader.bounds(topic).items() if end > low}
    last = site.reader.read(topic, {number: (end - 1, end) for number, end in ends.items()})
    newest = max((message.timestamp()[1] / 1000 for message in last), default=None)
    if newest is None:
        return skipped("there is no event yet whose append time could be compared")
    return _judge(max(newest - time.time(), 0.0), "behind", "the broker's")


def _judge(seconds: float, direction: str, whose: str) -> Finding:
    message = f"{seconds:.0f} s {direction} {whose}"
    if seconds >= MAX_AHEAD.total_seconds():
        return failed(f"{message}: events would be refused for their versions, or let in that should be", _ADVICE)
    if seconds >= NOTICEABLE_SECONDS:
        return warning(f"{message}: freshness is measured wrong by as much", _ADVICE)
    return ok(f"less than {NOTICEABLE_SECONDS:.0f} s {direction} {whose}")


def _date(url: str) -> float | None:
    """When the server says that it answers, in seconds since 1970."""
    try:
        with urlopen(Request(url), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 (an address of the settings')
            headers = answer.headers
    except HTTPError as error:
        headers = error.headers
    return parsedate_to_datetime(headers["Date"]).timestamp() if headers["Date"] else None
