"""How shoppers put what the drawn shop calls otherwise."""

from __future__ import annotations

import random

from encoders.training.drawing import DrawnProduct

_CATEGORIES: dict[str, tuple[str, ...]] = {
    "shirt": ("t-shirt", "tee", "top"),
    "dress": ("gown", "frock"),
    "trousers": ("pants", "slacks"),
    "shoe": ("sneaker", "trainer"),
    "bag": ("handbag", "purse"),
    "backpack": ("rucksack", "knapsack"),
    "hat": ("headwear",),
    "watch": ("wristwatch",),
    "mug": ("cup", "coffee mug"),
    "bottle": ("flask", "water bottle"),
    "lamp": ("table lamp", "desk lamp"),
    "chair": ("seat", "dining chair"),
    "sofa": ("couch", "settee"),
    "vase": ("flower vase",),
}
_COLOURS: dict[str, tuple[str, ...]] = {
    "white": ("off-white",),
    "cream": ("beige", "ivory"),
    "grey": ("gray", "silver"),
    "black": ("charcoal",),
    "red": ("scarlet",),
    "coral": ("salmon",),
    "pink": ("rose",),
    "magenta": ("fuchsia",),
    "purple": ("violet",),
    "lavender": ("lilac",),
    "navy": ("dark blue", "navy blue"),
    "blue": ("royal blue",),
    "sky": ("light blue", "sky blue"),
    "teal": ("petrol", "turquoise"),
    "mint": ("light green", "mint green"),
    "green": ("grass green",),
    "olive": ("khaki", "olive green"),
    "yellow": ("golden",),
    "orange": ("tangerine",),
    "brown": ("chocolate",),
}
_PATTERNS: dict[str, tuple[str, ...]] = {
    "plain": ("plain", "solid"),
    "striped": ("with stripes", "stripy"),
    "pinstriped": ("pinstripe",),
    "checked": ("gingham", "with checks", "plaid"),
    "chequered": ("checkerboard", "checkered"),
    "dotted": ("polka dot", "spotted", "with dots"),
    "zigzag": ("zig-zag", "chevron"),
    "wavy": ("with waves",),
    "flowered": ("floral", "with flowers"),
    "leafy": ("with leaves", "leaf print"),
    "starry": ("with stars", "star print"),
    "diamond": ("with diamonds", "argyle"),
    "faded": ("ombre", "gradient"),
}
_OTHERWISE = 0.3


def asked_for(product: DrawnProduct, rng: random.Random) -> str:
    """What a shopper calls it: mostly the shop's words, each now and then by another name: "teal cup polka dot"."""
    pattern = "" if product.pattern == "plain" else product.pattern
    words = [
        _named(product.colours[0], _COLOURS, rng) or product.colours[0],
        _named(product.category, _CATEGORIES, rng) or product.category,
        _named(product.pattern, _PATTERNS, rng) or pattern,
    ]
    return " ".join(word for word in words if word)


def _named(name: str, others: dict[str, tuple[str, ...]], rng: random.Random) -> str | None:
    return rng.choice(others[name]) if rng.random() < _OTHERWISE else None
