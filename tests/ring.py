"""Labelled pictures whose ranks are known: colours on a quarter of a circle, for a bundle that sees mean colours.

The query is at one degree and the products at 0, 8, … 88: product k is the nearest but k, so its rank is k + 1.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

from PIL import Image

RANKS = [1.0, 4.0, 12.0, 3.0]
"""Of the queries in `pairs.csv`."""


def draw_ring(folder: Path) -> None:
    """Write `gallery.csv`, `pairs.csv` and their pictures."""
    (folder / "pictures").mkdir()
    gallery = [["image", "product", "category", "title"]]
    for number in range(12):
        _paint(folder / f"pictures/p{number}.png", 8 * number)
        gallery.append([f"pictures/p{number}.png", f"p{number}", "low" if number < 4 else "high", f"Colour {number}"])
    _write(folder / "gallery.csv", gallery)
    pairs = [["query", "product", "category"]]
    for name, product in (("a", "p0"), ("b", "p3"), ("c", "p11"), ("d", "p5"), ("d", "p2")):
        _paint(folder / f"pictures/{name}.png", 1)
        pairs.append([f"pictures/{name}.png", product, "mixed" if name == "d" else ""])
    _write(folder / "pairs.csv", pairs)


def _paint(file: Path, degrees: float) -> None:
    angle = math.radians(degrees)
    Image.new("RGB", (16, 16), (round(255 * math.cos(angle)), round(255 * math.sin(angle)), 0)).save(file)


def _write(file: Path, rows: list[list[str]]) -> None:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(rows)
