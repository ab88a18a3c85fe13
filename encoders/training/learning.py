"""Teaching the tower: a product's photo and its street photos together, other products apart."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from encoders.pixels import Pixels
from encoders.training.catalogue import Catalogue
from encoders.training.tower import SIZE, Tower

_BATCH = 64
_CATEGORIES = 4
_RATE = 4e-3
# Most is learnt as well from smaller pictures, in half the time.
_SMALL, _SMALL_UNTIL = 80, 0.6


def train(
    catalogue: Catalogue, *, seed: int, steps: int, seconds: float, report: Callable[[int, float], None]
) -> tuple[Tower, int]:
    """Train with a symmetric contrastive loss (InfoNCE, van den Oord et al. 2018) over the pairs of a batch.

    Args:
        catalogue: at least a batch of products.
        seed: of the weights and of what is seen when.
        steps: batches of 64 pairs; the result depends on nothing else unless the time is up first.
        seconds: after which to have finished, with whatever number of steps.
        report: called after each step with its number and its loss.

    Returns:
        The tower, ready for use, and the steps that were made.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tower = Tower().to(memory_format=torch.channels_last).train()
    scale = torch.nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    optimizer = torch.optim.AdamW([*tower.parameters(), scale], lr=_RATE, weight_decay=0.02)
    started, step = time.monotonic(), 0
    for step, chosen in zip(range(1, steps + 1), _batches(catalogue.categories, rng), strict=False):
        progress = max((step - 1) / steps, (time.monotonic() - started) / seconds)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(progress / 0.1 + 0.02, (1 + math.cos(math.pi * progress)) / 2)
        side = SIZE if progress > _SMALL_UNTIL else _SMALL
        loss = _loss(tower, scale.exp().clamp(max=100), *_pairs(catalogue, chosen, rng, side))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        report(step, loss.item())
    return tower.eval(), step


def _batches(categories: list[str], rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """Endless batches out of a few categories each: the other mugs teach more than the sofas."""
    names = np.array(categories)
    members = [np.flatnonzero(names == name) for name in sorted(set(categories))]
    while True:
        some = rng.permutation(len(members))[:_CATEGORIES]
        pool = np.concatenate([members[i] for i in some])
        yield rng.permutation(pool)[:_BATCH]


def _pairs(
    catalogue: Catalogue, chosen: npt.NDArray[np.int64], rng: np.random.Generator, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    views = rng.integers(catalogue.streets.shape[1], size=len(chosen))
    streets = _varied(catalogue.streets[chosen, views], rng, side, turn=0.15, zoom=0.15, light=0.2)
    return _varied(catalogue.photos[chosen], rng, side, turn=0.02, zoom=0.1, light=0.05), streets


def _varied(
    pixels: Pixels, rng: np.random.Generator, side: int, *, turn: float, zoom: float, light: float
) -> torch.Tensor:
    """Pictures (n, side, side, 3), each a little turned, zoomed, lit; a few between the white bars of padding."""
    count = len(pixels)
    angle, scale = rng.uniform(-turn, turn, count), 1 + rng.uniform(-zoom, zoom, count)
    shift = rng.uniform(-zoom, zoom, (count, 2)) / 2
    turned = np.stack((np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)), 1).reshape(count, 2, 2)
    matrices = np.concatenate((turned * scale[:, None, None], shift[..., None]), axis=2)
    floats = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(torch.from_numpy(matrices).float(), [count, 3, side, side], align_corners=False)
    moved = functional.grid_sample(floats, grid, padding_mode="reflection", align_corners=False)
    lit = moved * torch.from_numpy(1 + rng.uniform(-light, light, (count, 3, 1, 1))).float()
    for picture in lit[: count // 8]:
        bar = int(rng.integers(1, side // 6))
        turned_picture = picture if rng.random() < 0.5 else picture.transpose(1, 2)
        turned_picture[:, :bar] = turned_picture[:, -bar:] = 255
    return lit.clamp(0, 255).permute(0, 2, 3, 1)


def _loss(tower: Tower, scale: torch.Tensor, photos: torch.Tensor, streets: torch.Tensor) -> torch.Tensor:
    vectors = tower(torch.cat((photos, streets)))
    shown, seen = vectors.chunk(2)
    likeness = scale * shown @ seen.T
    same = torch.arange(len(likeness))
    return (functional.cross_entropy(likeness, same) + functional.cross_entropy(likeness.T, same)) / 2
