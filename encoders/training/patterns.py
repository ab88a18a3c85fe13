"""Patterns: where a fabric shows its second colour. Each maps coordinates to a coverage between 0 and 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating]


def _plain(x: Field, y: Field) -> Field:
    return np.zeros_like(x)


def _stripes(x: Field, y: Field) -> Field:
    return _step(np.abs(y % 1 - 0.5) - 0.25)


def _pinstripes(x: Field, y: Field) -> Field:
    return _step(np.abs(x * 1.6 % 1 - 0.5) - 0.4)


def _checks(x: Field, y: Field) -> Field:
    return (_step(np.abs(x % 1 - 0.5) - 0.25) + _step(np.abs(y % 1 - 0.5) - 0.25)) / 2


def _chequers(x: Field, y: Field) -> Field:
    return _step(np.sin(np.pi * x) * np.sin(np.pi * y))


def _dots(x: Field, y: Field) -> Field:
    radius, _ = _around_cells(x, y)
    return _step(0.3 - radius)


def _zigzag(x: Field, y: Field) -> Field:
    return _step(np.abs((y + 0.6 * np.abs(x % 1 - 0.5)) % 0.8 - 0.4) - 0.2)


def _waves(x: Field, y: Field) -> Field:
    return _step(np.abs((y + 0.18 * np.sin(2 * np.pi * x)) % 0.8 - 0.4) - 0.24)


def _flowers(x: Field, y: Field) -> Field:
    radius, angle = _around_cells(x * 0.8, y * 0.8)
    petals = _step(0.36 * (0.62 + 0.38 * np.cos(5 * angle)) - radius)
    return petals * _step(radius - 0.08)


def _leaves(x: Field, y: Field) -> Field:
    radius, angle = _around_cells(x * 0.8, y * 0.8)
    along, across = radius * np.cos(angle - 0.8), radius * np.sin(angle - 0.8)
    blade = _step(0.17 - 0.95 * along**2 - np.abs(across))
    return blade * _step(np.abs(across) - 0.015)


def _stars(x: Field, y: Field) -> Field:
    radius, angle = _around_cells(x, y)
    return _step(0.3 * (0.7 + 0.3 * np.arcsin(np.cos(5 * angle)) / (np.pi / 2)) - radius)


def _diamonds(x: Field, y: Field) -> Field:
    near = np.abs(x % 1 - 0.5) + np.abs(y * 0.7 % 1 - 0.5)
    return _step(0.42 - near) * _step(near - 0.12)


def _fade(x: Field, y: Field) -> Field:
    coverage: Field = np.clip(y / 5 + 0.5, 0, 1)
    return coverage


PATTERNS: dict[str, Callable[[Field, Field], Field]] = {
    "plain": _plain,
    "striped": _stripes,
    "pinstriped": _pinstripes,
    "checked": _checks,
    "chequered": _chequers,
    "dotted": _dots,
    "zigzag": _zigzag,
    "wavy": _waves,
    "flowered": _flowers,
    "leafy": _leaves,
    "starry": _stars,
    "diamond": _diamonds,
    "faded": _fade,
}
"""Name to function: (x, y), in repeats of the pattern, to the coverage of the second colour."""


def _step(distance: Field) -> Field:
    """1 inside, 0 outside, with a soft edge."""
    coverage: Field = np.clip(0.5 + distance * 18, 0, 1)
    return coverage


def _around_cells(x: Field, y: Field) -> tuple[Field, Field]:
    """Polar coordinates around the middle of each cell, every other row set off by half a cell."""
    x = x + 0.5 * (np.floor(y) % 2)
    across, down = x % 1 - 0.5, y % 1 - 0.5
    return np.hypot(across, down), np.arctan2(down, across)
