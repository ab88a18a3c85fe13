"""One epoch's material: batches of varied pictures with what is known of them, drawn here or by helper processes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, Dataset

from encoders.training.batches import Batches
from encoders.training.photos import Photo
from encoders.training.recipe import Recipe
from encoders.training.views import Views
from encoders.training.words import tokens_of, typed
from schemas.bundles import Resize


@dataclass(frozen=True)
class Batch:
    """Pictures uint8 (n, side, side, 3), their products and kinds (n,), and the titles of those that have one."""

    pixels: torch.Tensor
    products: torch.Tensor
    street: torch.Tensor
    titled: torch.Tensor
    """Which pictures have a title."""
    titles: torch.Tensor
    """For each of these, its row of `tokens`."""
    tokens: torch.Tensor
    """Each title once, as a shopper might type it: int64 (m, context_length)."""
    words: torch.Tensor
    """Each word of the titles by itself: int64 (k, context_length)."""
    said: torch.Tensor
    """Which titled pictures have which of these words in their titles: bool (pictures, k)."""

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


class Lessons:
    """All epochs' batches.

    Args:
        photos: to learn from; every product has a catalogue photo.
        recipe: of the training.
        size: height and width of the tower's input.
        resize: how production brings pictures to it.
        tokenizer: for titles; None leaves them out.
        helpers: processes that vary pictures beside the training; 0 does it in turn with it.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        recipe: Recipe,
        *,
        size: int,
        resize: Resize,
        tokenizer: Tokenizer | None,
        helpers: int,
    ) -> None:
        self._recipe, self._size, self._helpers, self._tokenizer = recipe, size, helpers, tokenizer
        self._views = Views(photos, size=size, resize=resize, recipe=recipe)
        self._batches = Batches(photos, size=recipe.batch, seed=recipe.seed, together=recipe.together)
        numbers = {product: i for i, product in enumerate(sorted({photo.product for photo in photos}))}
        self._products = torch.tensor([numbers[photo.product] for photo in photos])
        self._street = torch.tensor([photo.kind == "street" for photo in photos])
        self._titles = [photo.title if tokenizer else None for photo in photos]

    def epoch(self, number: int) -> tuple[int, Iterator[Batch]]:
        """How many batches an epoch has (from 0), and the batches; the same ones each time."""
        batches = _Epoch(self, number, self._batches.epoch(number))
        loader = DataLoader(batches, batch_size=None, num_workers=self._helpers)
        return len(batches), iter(loader)

    def batch(self, chosen: Sequence[int], *, epoch: int, number: int) -> Batch:
        """One batch, whose random variations depend on the seed, the epoch and its number alone."""
        seed = int(np.random.SeedSequence((self._recipe.seed, epoch, number)).generate_state(1)[0])
        pixels = self._views.draw(chosen, size=self._recipe.side(epoch, self._size), seed=seed)
        where = torch.tensor(chosen)
        return Batch(pixels, self._products[where], self._street[where], *self._words(chosen, random.Random(seed)))

    def _words(self, chosen: Sequence[int], rng: random.Random) -> tuple[torch.Tensor, ...]:
        found = [self._titles[i] for i in chosen]
        known = {title: row for row, title in enumerate(dict.fromkeys(title for title in found if title))}
        titled = torch.tensor([title is not None for title in found])
        rows = torch.tensor([known[title] for title in found if title], dtype=torch.int64)
        if self._tokenizer is None or not known:
            nothing = torch.empty(0, 0, dtype=torch.int64)
            return titled, rows, nothing, nothing, nothing.bool()
        spoken = [set(title.lower().split()) for title in found if title]
        each = sorted(set().union(*spoken))
        said = torch.tensor([[word in words for word in each] for words in spoken])
        tokens, words = (tokens_of(self._tokenizer, [typed(text, rng) for text in texts]) for texts in (known, each))
        return titled, rows, tokens, words, said


class _Epoch(Dataset[Batch]):
    def __init__(self, lessons: Lessons, epoch: int, batches: list[list[int]]) -> None:
        self._lessons, self._epoch, self._chosen = lessons, epoch, batches

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, number: int) -> Batch:
        return self._lessons.batch(self._chosen[number], epoch=self._epoch, number=number)
