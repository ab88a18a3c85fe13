"""How the shipped bundle is measured: ranks, the words of shoppers, and the card that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from encoders.metrics import quality
from encoders.training.card import card, shown
from encoders.training.drawing import random_product
from encoders.training.unseen import draw_unseen, measure, other_words, ranks, shoppers_words
from tests.bundles import tiny_bundle, tiny_words


def test_a_rank_counts_what_is_nearer() -> None:
    photos = np.array([(1, 0), (0.8, 0.6), (0, 1)], np.float32)
    queries = np.array([(1, 0), (1, 0), (0.6, 0.8)], np.float32)

    assert ranks(queries, photos).tolist() == [1, 2, 2]
    assert ranks(queries, photos, ["red", "red", "blue"]).tolist() == [1, 1, 2]
    assert ranks(queries, photos, ["a", "b", "b"]).tolist() == [1, 2, 1]


def test_shoppers_say_it_in_any_order_and_number() -> None:
    mugs = [random_product(seed, "mug") for seed in range(200)]
    said = [shoppers_words(mug).split() for mug in mugs]

    for mug, words in zip(mugs, said, strict=True):
        assert sorted(word.replace("mugs", "mug") for word in words) == sorted(mug.title.lower().split())
    assert 50 < sum("mugs" in words for words in said) < 150
    assert {words.index("mugs") for words in said if "mugs" in words} == {0, 1, 2}
    assert all("trouserss" not in shoppers_words(random_product(seed, "trousers")) for seed in range(20))
    assert any("cup" in other_words(mug) for mug in mugs)


def test_a_bundle_is_measured_and_its_card_says_so(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path, text=tiny_words())
    unseen = draw_unseen(12, size=8, resize="squash", processes=1)

    found = measure(bundle, unseen)
    text = card(bundle, {name: quality(each) for name, each in found.items()})

    assert unseen.photos.shape == unseen.streets.shape == (12, 8, 8, 3)
    assert all(each.shape == (12,) and each.min() >= 1 and each.max() <= 12 for each in found.values())
    assert np.all(found["description"] <= found["words"])
    assert f"| a street photo of it | {shown(quality(found['street']).recall_at_1)} |" in text
    assert "12 further products" in text
