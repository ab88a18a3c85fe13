"""Which photos are learnt from together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from encoders.training.photos import Photo

_TOGETHER = 5


class Batches:
    """Each epoch shows every street photo once, in small groups of one product, each with a photo of its catalogue.

    A product without street photos comes with its catalogue photo alone, once an epoch.

    Args:
        photos: to learn from; every product has a catalogue photo.
        size: photos in a batch, about.
        seed: of the order.
    """

    def __init__(self, photos: Sequence[Photo], *, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._members: dict[str, tuple[list[int], list[int]]] = {}
        for i, photo in enumerate(photos):
            self._members.setdefault(photo.product, ([], []))[photo.kind == "street"].append(i)

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of an epoch, as indices; equal numbers and seeds give equal batches of at least two groups."""
        rng = np.random.default_rng((self._seed, number))
        groups = [group for shop, street in self._members.values() for group in _groups(shop, street, rng)]
        batches: list[list[int]] = []
        for i in rng.permutation(len(groups)):
            if not batches or len(batches[-1]) + len(groups[i]) > self._size:
                batches.append([])
            batches[-1] += groups[i]
        return _without_scraps(batches, self._size)


def _groups(shop: list[int], street: list[int], rng: np.random.Generator) -> list[list[int]]:
    order = rng.permutation(street).tolist()
    rows = [order[i : i + _TOGETHER] for i in range(0, len(order), _TOGETHER)] or [[]]
    return [[*map(int, row), int(rng.choice(shop))] for row in rows]


def _without_scraps(batches: list[list[int]], size: int) -> list[list[int]]:
    """A last batch under half the size joins the one before: batch statistics of a few pictures mislead."""
    if len(batches) > 1 and len(batches[-1]) < size // 2:
        *whole, last, scraps = batches
        return [*whole, last + scraps]
    return batches
