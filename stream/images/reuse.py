"""What is remembered of pictures that were encoded lately: the same bytes are neither sent nor encoded again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from schemas.events import Image
from stream.images.fetched import Fetched, Known

if TYPE_CHECKING:
    from encoders.batcher import Vectors

K = TypeVar("K")
V = TypeVar("V")

_OVERHEAD = 400
"""Bytes of an entry besides its own: objects, key, links."""


@dataclass(frozen=True)
class KnownVector(Known):
    """A picture that was had before, and its vector."""

    vector: Vectors


class Reuse:
    """Two tables of bounded size: URL to (ETag, digest), digest to vector. What was used longest ago goes first.

    Args:
        most_bytes: of memory, about; 0 remembers nothing.
    """

    def __init__(self, most_bytes: int) -> None:
        self._known: _Bounded[str, Known] = _Bounded(most_bytes // 2, lambda url, known: len(url) + len(known.etag))
        self._vectors: _Bounded[str, Vectors] = _Bounded(most_bytes // 2, lambda _, vector: vector.nbytes)

    def known(self, image: Image) -> KnownVector | None:
        """What its host need not send again, because its vector is here."""
        known = self._known.get(image.url)
        if known is None or (image.digest and image.digest != known.digest):
            return None
        vector = self._vectors.get(known.digest)
        return None if vector is None else KnownVector(known.etag, known.digest, vector)

    def vector(self, digest: str) -> Vectors | None:
        """Of the picture with these bytes."""
        return self._vectors.get(digest)

    def keep(self, url: str, fetched: Fetched, vector: Vectors) -> None:
        """Remember it."""
        if fetched.etag:
            self._known.put(url, Known(fetched.etag, fetched.digest))
        if self._vectors.get(fetched.digest) is None:
            self._vectors.put(fetched.digest, vector.copy())  # a row alone would keep its whole batch


class _Bounded(Generic[K, V]):
    def __init__(self, most: int, size: Callable[[K, V], int]) -> None:
        self._left = most
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        if key in self._entries:
            self._left += self._cost(key, self._entries.pop(key))
        self._entries[key] = value
        self._left -= self._cost(key, value)
        while self._left < 0:
            self._left += self._cost(*self._entries.popitem(last=False))

    def _cost(self, key: K, value: V) -> int:
        return self._size(key, value) + _OVERHEAD
