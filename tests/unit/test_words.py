"""Words: whatever their order, case and accents, a text has one vector; and titles vary as shoppers' words do."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import random
from pathlib import Path

import pytest
from PIL import Image

from encoders.training.english import other_number, plural

pytestmark = pytest.mark.skipif(
    (importlib.util.find_spec("torch") is None or importlib.util.find_spec("tokenizers") is None)
    and "CI" not in os.environ,
    reason="PyTorch and tokenizers are not installed (extra `train`)",
)

TITLES = ["Striped teal mug", "Crème brûlée dish", "Navy shirt", "Starry blue dress"]


def test_order_case_and_accents_move_no_vector() -> None:
    import torch

    from encoders.training.words import TextTower, tokens_of, train_tokenizer

    torch.manual_seed(0)
    tokenizer = train_tokenizer(TITLES)
    tower = TextTower(tokenizer.get_vocab_size(), 16).eval()

    same = tower(tokens_of(tokenizer, ["Crème brûlée dish", "dish CREME brulee", "navy shirt"]))

    assert same.shape == (3, 16)
    torch.testing.assert_close(same[0], same[1])
    torch.testing.assert_close(same.norm(dim=1), torch.ones(3))
    assert float((same[0] @ same[2]).detach()) < 0.99


def test_padding_and_emptiness_are_no_words() -> None:
    import torch

    from encoders.training.words import TextTower

    torch.manual_seed(0)
    tower = TextTower(10, 4, context_length=6).eval()

    short, long = tower(torch.tensor([[3, 4, 0]])), tower(torch.tensor([[3, 4, 0, 0, 0, 0]]))
    nothing = tower(torch.zeros((1, 6), dtype=torch.int64))

    torch.testing.assert_close(short, long)
    assert torch.isfinite(nothing).all()


def test_a_plural_is_its_singular_and_an_ending() -> None:
    from encoders.training.words import tokens_of, train_tokenizer

    tokenizer = train_tokenizer(TITLES * 3)

    one, many, unseen = tokens_of(tokenizer, ["shirt", "shirts", "ß漢"]).tolist()

    assert len(one) == 32
    assert many[0] == one[0]
    assert one[1] == 0 != many[1]
    assert tokenizer.token_to_id("[UNK]") in unseen


@pytest.mark.parametrize(
    ("one", "many"),
    [("shirt", "shirts"), ("dress", "dresses"), ("watch", "watches"), ("vase", "vases"), ("city", "cities")],
)
def test_number_goes_both_ways(one: str, many: str) -> None:
    assert other_number(one) == many
    assert other_number(many) == one
    assert plural(one) == plural(many) == many


def test_titles_are_typed_in_every_order_and_never_empty() -> None:
    from encoders.training.words import typed

    seen = {typed("Striped teal mug", random.Random(seed)) for seed in range(500)}

    assert {"striped teal mug", "mug teal striped", "teal mugs striped"} <= seen
    assert "mug teal" in seen
    assert typed("Mug", random.Random(1)) in {"mug", "mugs"}
    assert typed("", random.Random(1)) == ""


def test_a_folder_is_drawn_with_words_for_each_picture(tmp_path: Path) -> None:
    from encoders.training.drawn import draw_folder

    table = draw_folder(tmp_path / "a", products=3, views=2, seed=7, size=48, processes=1)
    again = draw_folder(tmp_path / "b", products=3, views=2, seed=7, size=48, processes=1)

    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert [row["kind"] for row in rows] == ["catalogue", "street", "street"] * 3
    assert len({row["product"] for row in rows}) == 3
    assert all(row["title"] and row["category"] for row in rows)
    for row in rows:
        picture = (table.parent / row["image"]).read_bytes()
        assert Image.open(io.BytesIO(picture)).size == (48, 48)
        assert picture == (again.parent / row["image"]).read_bytes()
    assert table.read_text() == again.read_text()
