"""What a PyTorch model must be to become a bundle: the towers that are exported and trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from schemas.bundles import Resize


class ImageTower(nn.Module):
    """uint8 (n, size, size, 3) RGB to float32 (n, dimension) of norm 1: nothing is left to be done outside."""

    backbone: str
    """What `encoders.backbones.image_tower` makes it again from, without its weights."""
    size: int
    dimension: int
    resize: Resize


class TextTower(nn.Module):
    """int64 tokens (n, context_length), filled up with `pad_id`, to float32 (n, dimension) of norm 1."""

    context_length: int
    pad_id: int
    dimension: int


@dataclass(frozen=True)
class Words:
    """A text tower and its tokenizer."""

    tower: TextTower
    tokenizer: Tokenizer
    original_tokens: Callable[[list[str]], npt.NDArray[np.int64]]
    """Tokens (n, context_length) from the tokenizer that the model came with, to prove ours against."""


@dataclass(frozen=True)
class Model:
    """What a bundle is made from."""

    image: ImageTower
    revision: str
    words: Words | None = None


class TrunkTower(ImageTower):
    """Any network for normalised pictures, with normalisation before it and, if asked for, a projection after it.

    Args:
        backbone: its name.
        trunk: float32 (n, 3, size, size) to (n, features).
        mean: of each colour, 0 to 1.
        std: of each colour, 0 to 1.
        head: (n, features) to (n, dimension).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        backbone: str,
        trunk: nn.Module,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        size: int,
        resize: Resize,
        head: nn.Module,
        dimension: int,
    ) -> None:
        super().__init__()
        self.backbone, self.size, self.resize, self.dimension = backbone, size, resize, dimension
        self.trunk, self.head = trunk, head
        self.register_buffer("mean", 255 * torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (n, size, size, 3) to float32 (n, dimension)."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        return functional.normalize(self.head(self.trunk(x)).float(), dim=1)


def projection(features: int, dimension: int | None) -> nn.Module:
    """To `dimension` floats, by a random rotation that nearly keeps angles; the same one each time. None keeps all."""
    if dimension is None or dimension == features:
        return nn.Identity()
    head = nn.Linear(features, dimension, bias=False)
    nn.init.orthogonal_(head.weight, generator=torch.Generator().manual_seed(0))
    return head
