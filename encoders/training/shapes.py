"""The kinds of product that can be drawn."""

from __future__ import annotations

from collections.abc import Callable

from encoders.training import clothing, homeware
from encoders.training.geometry import Part, Proportions

SHAPES: dict[str, Callable[[Proportions], list[Part]]] = {
    "shirt": clothing.shirt,
    "dress": clothing.dress,
    "trousers": clothing.trousers,
    "shoe": clothing.shoe,
    "bag": clothing.bag,
    "backpack": clothing.backpack,
    "hat": clothing.hat,
    "watch": clothing.watch,
    "mug": homeware.mug,
    "bottle": homeware.bottle,
    "lamp": homeware.lamp,
    "chair": homeware.chair,
    "sofa": homeware.sofa,
    "vase": homeware.vase,
}
"""Category to the function that gives its parts."""
