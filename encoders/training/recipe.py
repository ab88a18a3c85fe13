"""How a training goes: all that its result depends on, beside the photos and the tower."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from encoders.training.objective import Loss

Precision = Literal["fp32", "mixed"]

_WARM_UP = 0.15


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Args:
        epochs: each shows every street photo once.
        batch: photos in a batch, about.
        rate: the highest learning rate (AdamW): reached after 15 % of the training, nothing at its end.
        decay: of weights.
        loss: the metric loss.
        search: the weight of the contrastive loss from street photos to the catalogue.
        temperature: of the contrastive losses: the lower, the more the likest of the others count.
        together: street photos of a product in one batch, at most.
        vary: how strongly pictures are varied: 0 hardly, 1 as phones do.
        turn: degrees that a street photo is turned by, at most.
        tint: of the circle of colours, the share that a street photo's are moved by, at most: light differs.
        words: the weight of the contrastive loss between pictures and titles.
        average: of the averaged weights, the share that each step keeps; they are the result.
        small: the share of the input's size at which the first epochs are learnt, in less time.
        large: the share at which the others are. Crops show things larger than they are in whole pictures, so that a
            tower does best on somewhat larger pictures than it learnt from (Touvron et al. 2019).
        small_until: the share of the epochs that are learnt small.
        patience: epochs without a better MRR after which to stop; 0 never stops.
        seed: of what is seen when.
        precision: `mixed` computes in bfloat16 (or float16) where the device does so quickly.
    """

    epochs: int = 30
    batch: int = 96
    rate: float = 2e-3
    decay: float = 0.05
    loss: Loss = "cosface"
    search: float = 0.5
    words: float = 1.0
    temperature: float = 0.07
    together: int = 5
    vary: float = 1.0
    turn: float = 25.0
    tint: float = 0.02
    average: float = 0.998
    small: float = 5 / 9
    large: float = 7 / 9
    small_until: float = 0.5
    patience: int = 0
    seed: int = 0
    precision: Precision = "fp32"

    def side(self, epoch: int, size: int) -> int:
        """Height and width of the pictures of an epoch (from 0): the input's size, or a lower multiple of 16."""
        share = self.small if epoch < self.epochs * self.small_until else self.large
        return min(size, 16 * math.ceil(round(size * share) / 16))

    def rate_at(self, epoch: float) -> float:
        """The learning rate after so many epochs: up in a line, down in half a cosine."""
        done = epoch / self.epochs
        if done < _WARM_UP:
            return self.rate * (0.01 + 0.99 * done / _WARM_UP)
        return self.rate * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP))) / 2
