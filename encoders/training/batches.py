"""Which photos are learnt from together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from encoders.training.photos import Photo

_CATEGORIES = 8


class Batches:
    """Each epoch shows every street photo once, in small groups of one product, each with a photo of its catalogue.

    A product without street photos comes with its catalogue photo alone, once an epoch. Where categories are known, a
    batch has products of a few: the other mugs teach more than the sofas.

    Args:
        photos: to learn from; every product has a catalogue photo.
        size: photos in a batch, about.
        seed: of the order.
        together: street photos in a group, at most.
    """

    def __init__(self, photos: Sequence[Photo], *, size: int, seed: int, together: int = 5) -> None:
        self._size, self._seed, self._together = size, seed, together
        self._members: dict[str, tuple[list[int], list[int]]] = {}
        self._categories = [photo.category or "" for photo in photos]
        for i, photo in enumerate(photos):
            self._members.setdefault(photo.product, ([], []))[photo.kind == "street"].append(i)

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of an epoch, as indices; equal numbers and seeds give equal batches of at least two groups."""
        rng = np.random.default_rng((self._seed, number))
        groups = [
            group for shop, street in self._members.values() for group in _groups(shop, street, self._together, rng)
        ]
        batches: list[list[int]] = []
        for group in self._ordered(groups, rng):
            if not batches or len(batches[-1]) + len(group) > self._size:
                batches.append([])
            batches[-1] += group
        return _without_scraps(batches, self._size)

    def _ordered(self, groups: list[list[int]], rng: np.random.Generator) -> list[list[int]]:
        """At random; where categories are known, in runs of one that are a part of a batch long."""
        order = rng.permutation(len(groups))
        if not any(self._categories):
            return [groups[i] for i in order]
        runs: list[list[list[int]]] = []
        latest: dict[str, list[list[int]]] = {}
        for i in order:
            run = latest.setdefault(category := self._categories[groups[i][0]], [])
            if not run or sum(map(len, run)) + len(groups[i]) > self._size / _CATEGORIES:
                runs.append(run := [])
                latest[category] = run
            run.append(groups[i])
        return [group for i in rng.permutation(len(runs)) for group in runs[i]]


def _groups(shop: list[int], street: list[int], together: int, rng: np.random.Generator) -> list[list[int]]:
    order = rng.permutation(street).tolist()
    rows = [order[i : i + together] for i in range(0, len(order), together)] or [[]]
    return [[*map(int, row), int(rng.choice(shop))] for row in rows]


def _without_scraps(batches: list[list[int]], size: int) -> list[list[int]]:
    """A last batch under half the size joins the one before: batch statistics of a few pictures mislead."""
    if len(batches) > 1 and len(batches[-1]) < size // 2:
        *whole, last, scraps = batches
        return [*whole, last + scraps]
    return batches
