"""Two judges over what a view came to: what the load knows must be there, and `freshline doctor --reconcile`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from qdrant_client import QdrantClient

from schemas.dead_letters import DeadLetter, Reason
from schemas.events import Event
from schemas.payloads import VECTOR_NAME, Payload
from tests.harness import Installation

SAME = 0.9999


@dataclass(frozen=True)
class Held:
    """A point as it stands: its payload, and its vectors as an array of shape (rows, dimension)."""

    payload: Payload
    vectors: np.ndarray


@dataclass
class Verdict:
    """Products by what is wrong with them; all empty if nothing is."""

    products: int
    dead_letters: int
    lost: list[str] = field(default_factory=list)
    """Not in the view at all."""
    stale: list[str] = field(default_factory=list)
    """At another version than their last."""
    resurrected: list[str] = field(default_factory=list)
    """Deleted, and yet there."""
    incomplete: list[str] = field(default_factory=list)
    """Without a picture that can be had, or with another one's digest."""
    mixed: list[str] = field(default_factory=list)
    """With vectors that are not those of their pictures."""
    orphaned: list[str] = field(default_factory=list)
    """In the view, and never published."""
    letters: list[str] = field(default_factory=list)
    """Dead letters that are missing, or should not be there."""

    @property
    def wrong(self) -> dict[str, list[str]]:
        """What is not as it must be."""
        kinds = ("lost", "stale", "resurrected", "incomplete", "mixed", "orphaned", "letters")
        return {kind: found for kind in kinds if (found := getattr(self, kind))}


def read_view(shop: Installation) -> dict[str, Held]:
    """Everything in the serving view, by product id."""
    view = shop.view
    return shop.store.run_sync(lambda client: _scroll(client, view))


def _scroll(client: QdrantClient, view: str) -> dict[str, Held]:
    found: dict[str, Held] = {}
    offset: Any = None
    while True:
        records, offset = client.scroll(view, limit=1000, offset=offset, with_payload=True, with_vectors=True)
        for record in records:
            payload = Payload.model_validate(record.payload)
            rows: Any = record.vector.get(VECTOR_NAME, []) if isinstance(record.vector, dict) else []
            found[payload.product_id] = Held(payload, np.asarray(rows, np.float32))
        if offset is None:
            return found


def judge(
    shop: Installation,
    expected: Mapping[str, Event],
    letters: Collection[tuple[str, Reason]] = (),
    *,
    pictures: Mapping[str, bytes],
) -> Verdict:
    """Compare the view and the dead letters with what was published.

    Args:
        shop: whose view.
        expected: the last event of each product.
        letters: key and reason of each dead letter that there must be.
        pictures: the bytes behind each URL that can be had.
    """
    held, written = read_view(shop), {_letter(letter) for letter in shop.dead_letters()}
    verdict = Verdict(len(expected), len(written))
    digests = {url: f"sha256:{hashlib.sha256(data).hexdigest()}" for url, data in pictures.items()}
    for name, last in expected.items():
        if kind := _trouble(last, held.get(name), digests):
            getattr(verdict, kind).append(name)
    verdict.mixed = _mixed(held)
    verdict.orphaned = sorted(held.keys() - expected.keys())
    verdict.letters = [*(f"missing {each}" for each in set(letters) - written)]
    verdict.letters += [f"unexpected {each}" for each in written - set(letters)]
    return verdict


def _letter(letter: DeadLetter) -> tuple[str, Reason]:
    return (letter.key or b"").decode(), letter.reason


def _trouble(last: Event, held: Held | None, digests: Mapping[str, str]) -> str | None:
    if held is None:
        return "lost"
    payload = held.payload
    if last.deleted and not payload.deleted:
        return "resurrected"
    if payload.version != last.version or payload.deleted != last.deleted:
        return "stale"
    wanted = [(image.url, digests[image.url]) for image in last.images if image.url in digests]
    has = [(entry.url, entry.digest) for entry in payload.encoded_images]
    return None if has == wanted and len(held.vectors) == len(has) else "incomplete"


def _mixed(held: Mapping[str, Held]) -> list[str]:
    """Products with a row that differs from what others have for the same picture."""
    first: dict[str, np.ndarray] = {}
    found = []
    for name, each in held.items():
        for entry, row in zip(each.payload.encoded_images, each.vectors, strict=False):
            if float(first.setdefault(entry.digest, row) @ row) < SAME:
                found.append(name)
    return found


def payload_digest(held: Mapping[str, Held]) -> str:
    """One digest of all payloads, without `indexed_at`."""
    whole = [each.payload.model_dump(mode="json", exclude={"indexed_at"}) for _, each in sorted(held.items())]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def least_cosine(before: Mapping[str, Held], after: Mapping[str, Held]) -> float:
    """Between each vector and what it became."""
    assert before.keys() == after.keys()
    pairs = ((each.vectors, after[name].vectors) for name, each in before.items() if len(each.vectors))
    return min(float((one * other).sum(axis=1).min()) for one, other in pairs)


def files(urls: Collection[str]) -> dict[str, bytes]:
    """The bytes behind `file:///` URLs."""
    return {url: Path(unquote(urlsplit(url).path)).read_bytes() for url in urls}
