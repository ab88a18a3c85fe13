"""The small image tower of the shipped bundle."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from encoders.towers import ImageTower

DIMENSION = 128
SIZE = 112


def _convolution(
    inside: int, outside: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
) -> Iterator[nn.Module]:
    yield nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False)
    yield nn.BatchNorm2d(outside)


class Block(nn.Module):
    """A depthwise separable convolution (MobileNets, Howard et al. 2017), added to its input where the shapes agree."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.keeps_shape = stride == 1 and inside == outside
        self.layers = nn.Sequential(
            *_convolution(inside, inside, kernel=3, stride=stride, groups=inside),
            *_convolution(inside, outside),
            nn.ReLU(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inside, h, w) to (n, outside, h / stride, w / stride)."""
        y: torch.Tensor = self.layers(x)
        return x + y if self.keeps_shape else y


class Tower(ImageTower):
    """uint8 (n, size, size, 3) RGB to float32 (n, dimension) of norm 1, in a million parameters."""

    backbone = "freshline/tower"
    resize = "pad"

    def __init__(self, dimension: int = DIMENSION, size: int = SIZE) -> None:
        super().__init__()
        self.dimension, self.size = dimension, size
        self.layers = nn.Sequential(
            *_convolution(3, 32, kernel=3, stride=2),
            nn.ReLU(),
            Block(32, 64, 2),
            Block(64, 64, 1),
            Block(64, 128, 2),
            Block(128, 128, 1),
            Block(128, 128, 1),
            Block(128, 256, 2),
            Block(256, 256, 1),
            *_convolution(256, 384),
            nn.ReLU(),
        )
        self.head = nn.Linear(2 * 384, dimension)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (n, size, size, 3) to float32 (n, dimension)."""
        x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        x = self.layers(x)
        x = torch.cat((x.mean(dim=(2, 3)), x.amax(dim=(2, 3))), dim=1)
        return functional.normalize(self.head(x), dim=1)
