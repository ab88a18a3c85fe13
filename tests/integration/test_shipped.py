"""The shipped bundle finds drawn products that it never saw, by street photos and by words."""

from __future__ import annotations

import numpy as np

from encoders.bundle import SHIPPED, load_bundle
from encoders.metrics import recall_at
from encoders.text import TextEncoder
from encoders.training.unseen import draw_unseen, measure


def test_unseen_products_are_found_by_street_photos_and_by_words() -> None:
    bundle = load_bundle(SHIPPED)

    found = measure(bundle, draw_unseen(250, size=bundle.manifest.input_size, resize=bundle.manifest.resize))

    # Among 250 products the first three are about what the first ten are among the card's 1000.
    assert recall_at(3, found["street"]) >= 0.93
    assert recall_at(3, found["words"]) >= 0.9
    assert recall_at(10, found["words"]) >= 0.97


def test_order_case_and_number_hardly_matter_to_its_words() -> None:
    encoder = TextEncoder(load_bundle(SHIPPED), threads=1)

    said = encoder.encode(["striped teal mug", "Mug TEAL striped", "teal striped mugs", "plain red sofa"])

    assert np.allclose(said[0], said[1], atol=1e-6)
    assert said[0] @ said[2] > 0.9
    assert said[0] @ said[3] < 0.5
