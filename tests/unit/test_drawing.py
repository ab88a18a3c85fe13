"""The drawn catalogue is the same for everybody."""

from __future__ import annotations

import numpy as np
import pytest

from encoders.training.drawing import COLOURS, cutout, photo, random_product
from encoders.training.patterns import PATTERNS
from encoders.training.shapes import SHAPES
from encoders.training.street import street_photo


def test_a_product_is_designed_by_its_seed() -> None:
    assert random_product(5) == random_product(5)
    assert random_product(5) != random_product(6)
    assert random_product(5, "mug").category == "mug"


def test_seeds_reach_every_category_colour_and_pattern() -> None:
    products = [random_product(seed) for seed in range(2000)]

    assert {product.category for product in products} == set(SHAPES)
    assert {product.pattern for product in products} == set(PATTERNS)
    assert {product.colours[0] for product in products} == set(COLOURS)
    assert all(len(set(product.colours)) == 3 for product in products)


def test_a_title_says_what_is_seen() -> None:
    product = next(p for p in map(random_product, range(1000)) if p.pattern == "striped")

    assert product.title == f"Striped {product.colours[0]} {product.category}"


@pytest.mark.parametrize("category", SHAPES)
def test_each_category_is_drawn_whole_and_alike_each_time(category: str) -> None:
    product = random_product(3, category)

    figure = cutout(product, 96)

    left, top, right, bottom = figure.getbbox() or (0, 0, 0, 0)
    assert 0 <= left < right <= 96
    assert bottom - top > 30
    assert photo(product, 96).tobytes() == photo(product, 96).tobytes()
    assert street_photo(product, 7, 96).tobytes() == street_photo(product, 7, 96).tobytes()
    assert street_photo(product, 7, 96).tobytes() != street_photo(product, 8, 96).tobytes()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_covers_some_and_never_more_than_all(pattern: str) -> None:
    y, x = np.mgrid[-5:5:0.02, -5:5:0.02]

    coverage = PATTERNS[pattern](x, y)

    assert coverage.min() >= 0
    assert coverage.max() <= 1
    assert pattern == "plain" or 0.05 < coverage.mean() < 0.95
