"""Outlines in a unit square (x right, y down), and the parts that are made of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Outline = tuple[Point, ...]
Proportions = tuple[float, ...]
"""Six numbers in 0..1: what makes two products of a kind differ in shape."""

Material = Literal["main", "trim", "accent", "wood", "metal", "dark", "light", "glow"]


@dataclass(frozen=True)
class Part:
    """A filled outline, or with a `width` a line along it."""

    outline: Outline
    material: Material
    patterned: bool = False
    width: float = 0.0
    relief: float = 1.0


def between(low: float, high: float, share: float) -> float:
    """Give the number that lies at `share` (0..1) of the way."""
    return low + (high - low) * share


def smooth(points: Iterable[Point], steps: int = 8) -> Outline:
    """Draw a closed curve through the points (Catmull-Rom spline, 1974)."""
    p = list(points)
    curve: list[Point] = []
    for i in range(len(p)):
        a, b, c, d = p[i - 1], p[i], p[(i + 1) % len(p)], p[(i + 2) % len(p)]
        for step in range(steps):
            t = step / steps
            weights = (
                -0.5 * t + t**2 - 0.5 * t**3,
                1 - 2.5 * t**2 + 1.5 * t**3,
                0.5 * t + 2 * t**2 - 1.5 * t**3,
                -0.5 * t**2 + 0.5 * t**3,
            )
            curve.append(
                (
                    sum(w * q[0] for w, q in zip(weights, (a, b, c, d), strict=True)),
                    sum(w * q[1] for w, q in zip(weights, (a, b, c, d), strict=True)),
                )
            )
    return tuple(curve)


def mirrored(points: Iterable[Point]) -> Outline:
    """Add the left half to the right half of an outline, which runs from top to bottom."""
    right = list(points)
    return (*right, *((1 - x, y) for x, y in reversed(right)))


def box(left: float, top: float, right: float, bottom: float, round_: float = 0.02) -> Outline:
    """Outline a box with rounded corners."""
    corners = [(right - round_, top + round_, -90), (right - round_, bottom - round_, 0)]
    corners += [(left + round_, bottom - round_, 90), (left + round_, top + round_, 180)]
    return tuple(
        (x + round_ * math.cos(math.radians(start + turn)), y + round_ * math.sin(math.radians(start + turn)))
        for x, y, start in corners
        for turn in range(0, 91, 15)
    )


def oval(x: float, y: float, wide: float, high: float, arc: tuple[float, float] = (0, 360)) -> Outline:
    """Outline an ellipse around (x, y) with half axes `wide` and `high`, or an arc of it in degrees, clockwise."""
    start, end = arc
    return tuple(
        (x + wide * math.cos(math.radians(angle)), y + high * math.sin(math.radians(angle)))
        for angle in (start + (end - start) * step / 48 for step in range(49))
    )
