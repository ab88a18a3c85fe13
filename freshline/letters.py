"""Choosing dead letters, and what to do about each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from schemas.dead_letters import DeadLetter, Reason

ADVICE: dict[Reason, str] = {
    Reason.INVALID_KEY: "Have the publisher key its records by the product id (docs/events.md). Redriving won't help.",
    Reason.INVALID_JSON: "Have the publisher send JSON in UTF-8 (docs/events.md). Redriving won't help.",
    Reason.INVALID_EVENT: (
        "Have the publisher mend the named fields (docs/events.md) and publish the product again. "
        "Redrive only if a newer release takes what was refused."
    ),
    Reason.INVALID_VERSION: (
        "Check the publisher's clock and FRESHLINE_VERSIONS. Redrive if the setting was wrong, or once it is due."
    ),
    Reason.KEY_MISMATCH: "Have the publisher key its records by the product id. Redriving won't help.",
    Reason.NULL_VALUE: "Have the publisher send an event of type deleted with its counter. Redriving won't help.",
    Reason.OUT_OF_ORDER: (
        "Nothing is lost yet: the newer event is indexed. But the topic may keep this older one: have the catalogue "
        "service publish the product's present state with a newer version, and look for two publishers of one product."
    ),
    Reason.IMAGE_MISSING: "Put the picture where its URL points, then redrive; or publish another one.",
    Reason.IMAGE_FORBIDDEN: (
        "Allow it by FRESHLINE_IMAGE_ROOT or FRESHLINE_IMAGE_ALLOW_NETWORKS if it is meant to be read, then redrive."
    ),
    Reason.IMAGE_TOO_LARGE: "Publish a smaller picture, or raise FRESHLINE_IMAGE_MAX_BYTES; then redrive.",
    Reason.IMAGE_CORRUPT: "Put a whole picture at its URL, then redrive.",
    Reason.IMAGE_UNSUPPORTED: "Put a JPEG, PNG or WebP at its URL, then redrive.",
    Reason.IMAGE_DIGEST: "The picture was changed without its digest: publish the product with the new digest.",
    Reason.IMAGE_UNAVAILABLE: "Its host did not answer in time: redrive when it does (--host names it).",
    Reason.INTERNAL: "A fault of Freshline's own: report it with the message; redrive after the update that mends it.",
}
"""What an operator does about each reason; docs/dead-letters.md has the same table."""

_AGO = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_HOST_IN_TEXT = re.compile(r"https?://([^\s/?#:\"'\\]+)", re.IGNORECASE)


def moment(text: str) -> datetime:
    """A time of RFC 3339 with its zone, or so long ago: 90s, 30m, 2h, 3d, 1w.

    Raises:
        ValueError: it is neither.
    """
    if ago := _AGO.fullmatch(text.strip()):
        try:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError:
            raise ValueError(f"{text!r} is too long ago") from None
    try:
        written = datetime.fromisoformat(text.strip())
    except ValueError:
        written = None
    if written is None or written.tzinfo is None:
        raise ValueError(f"{text!r} is neither a time with its zone (2026-06-01T12:00:00Z) nor an age (2h, 3d)")
    return written


@dataclass(frozen=True)
class Selection:
    """Which letters are meant; None and the empty set take all."""

    reasons: frozenset[Reason] = frozenset()
    product: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    host: str | None = None
    view: str | None = None
    lane: str | None = None
    redriven: bool | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is one of them; its time is when it was given up on."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.product is None or letter.product == self.product)
            and (self.since is None or letter.time >= self.since)
            and (self.until is None or letter.time < self.until)
            and (self.view is None or letter.view == self.view)
            and (self.lane is None or letter.lane == self.lane)
            and (self.redriven is None or (letter.redriven_at is not None) == self.redriven)
            and (self.host is None or self.host.lower() in hosts(letter))
        )


def hosts(letter: DeadLetter) -> set[str]:
    """The hosts of the event's images and of the URLs in the message, in lower case."""
    found = {host.lower() for host in _HOST_IN_TEXT.findall(letter.message)}
    try:
        images = json.loads(letter.value or b"null")["product"]["images"]
        urls = [str(image["url"]) for image in images]
    except (ValueError, TypeError, KeyError, RecursionError):  # no event: there may be anything in it
        return found
    return found | {host for url in urls if (host := _host(url))}


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def shown(text: str) -> str:
    """Text of others for a terminal: what does not print is written out."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
