"""`freshline train` on a few drawn products: it learns, stops, goes on where it was, and makes a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from encoders.bundle import load_bundle
from encoders.session import ImageEncoder
from encoders.text import TextEncoder
from encoders.towers import ImageTower
from encoders.training.batches import Batches
from encoders.training.fitting import Epoch, Fitting, ResumeError, Towers
from encoders.training.lessons import Lessons
from encoders.training.objective import Objective
from encoders.training.photos import Photo, TableError, read_photos, split, with_catalogue
from encoders.training.recipe import Recipe
from encoders.training.tower import Tower
from encoders.training.train import Plan, train
from encoders.training.validation import Validation
from encoders.training.views import Views
from encoders.training.words import train_tokenizer
from freshline.cli import app

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 40), "blue": (40, 60, 200), "yellow": (220, 200, 40)}
QUICK = Recipe(epochs=2, batch=16, seed=3)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of four discs and four bars, each with a catalogue photo and four street photos."""
    folder = tmp_path_factory.mktemp("shop")
    rng, rows = np.random.default_rng(0), ["image,product,title,kind"]
    for colour, rgb in COLOURS.items():
        for shape in ("disc", "bar"):
            for i in range(5):
                name = f"{colour}-{shape}-{i}.png"
                _draw(rgb, shape, rng, street=i > 0).save(folder / name)
                rows.append(f"{name},{colour}-{shape},{colour} {shape},{'street' if i else 'catalogue'}")
    (folder / "photos.csv").write_text("\n".join(rows) + "\n")
    return folder / "photos.csv"


def _draw(rgb: tuple[int, int, int], shape: str, rng: np.random.Generator, *, street: bool) -> Image.Image:
    back = tuple(int(v) for v in rng.integers(90, 160, 3)) if street else (255, 255, 255)
    image = Image.new("RGB", (48, 48), back)
    x, y = rng.integers(-6, 7, 2) if street else (0, 0)
    box = (12 + x, 12 + y, 36 + x, 36 + y) if shape == "disc" else (8 + x, 20 + y, 40 + x, 28 + y)
    pen = ImageDraw.Draw(image)
    (pen.ellipse if shape == "disc" else pen.rectangle)(tuple(map(float, box)), fill=rgb)
    return image


@pytest.fixture(scope="module")
def photos(shop: Path) -> list[Photo]:
    return with_catalogue(read_photos(shop))


def fitting(photos: list[Photo], recipe: Recipe, queries: list[Photo] | None = None, device: str = "cpu") -> Fitting:
    torch.manual_seed(recipe.seed)
    lessons = Lessons(photos, recipe, size=32, resize="pad", tokenizer=None, helpers=0)
    shown = [photo for photo in photos if photo.kind == "catalogue"]
    validation = Validation(queries, shown, size=32, resize="pad") if queries else None
    return Fitting(Towers(Tower(16, 32)), lessons, products=8, recipe=recipe, validation=validation, device=device)


def test_it_learns_to_find_products_by_photos_and_by_words(shop: Path, photos: list[Photo], tmp_path: Path) -> None:
    kept, held = split(photos, 0.25)
    recipe = Recipe(epochs=60, batch=24, rate=4e-3, small_until=0, seed=1)

    trained = train(Plan(kept, recipe=recipe, queries=held, dimension=32, size=32, variants=["fp32"]), tmp_path)

    bundle = load_bundle(tmp_path)
    assert (bundle.manifest.name, bundle.manifest.revision) == ("trained", "1.60")
    scores = [epoch.score for epoch in trained.epochs]
    assert scores[-1] is not None
    assert scores[0] is not None
    assert scores[-1].mrr > max(scores[0].mrr, 0.8)
    images = ImageEncoder(bundle)
    validation = Validation(held, [p for p in kept if p.kind == "catalogue"], size=32, resize="pad")
    assert validation.score(images.encode).mrr == pytest.approx(scores[-1].mrr, abs=0.1)
    assert TextEncoder(bundle).encode(["red disc", "bars blue"]).shape == (2, 32)
    log = json.loads((tmp_path / "training.json").read_text())
    assert len(log["epochs"]) == 60


def test_a_resumed_training_is_as_one_never_interrupted(photos: list[Photo], tmp_path: Path) -> None:
    whole, first, second = (fitting(photos, QUICK) for _ in range(3))
    expected = whole.run(tmp_path / "whole.pt")

    with pytest.raises(KeyboardInterrupt):
        first.run(tmp_path / "part.pt", _Interrupting())
    second.resume(tmp_path / "part.pt")
    found = second.run(tmp_path / "part.pt")

    assert [epoch.number for epoch in second.epochs] == [1, 2]
    assert second.epochs == whole.epochs
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


class _Interrupting:
    def step(self, epoch: int, done: int, total: int, loss: float) -> None:
        if (epoch, done) == (2, 2):
            raise KeyboardInterrupt

    def epoch(self, epoch: Epoch) -> None:
        pass


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"rate": 1e-3}, r"its rate is 0\.002, not 0\.001"), ({"seed": 4}, "its seed is 3, not 4")],
)
def test_another_recipe_is_not_gone_on_with(
    photos: list[Photo], tmp_path: Path, changed: dict[str, float], named: str
) -> None:
    fitting(photos, replace(QUICK, epochs=1)).run(tmp_path / "c.pt")

    with pytest.raises(ResumeError, match=named):
        fitting(photos, replace(QUICK, epochs=1, **changed)).resume(tmp_path / "c.pt")  # type: ignore[arg-type]


def test_patience_ends_a_training_that_gets_no_better_and_takes_the_best(photos: list[Photo], tmp_path: Path) -> None:
    kept, held = split(photos, 0.25)
    still = fitting(kept, Recipe(epochs=9, batch=16, rate=0.0, patience=2, average=0.0), held)
    before = {name: value.clone() for name, value in still._result.state_dict().items() if "head" in name}

    towers = still.run(tmp_path / "c.pt")

    assert len(still.epochs) < 9
    assert all(torch.equal(towers.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))],
)
def test_mixed_precision_learns_nearly_the_same(photos: list[Photo], tmp_path: Path, device: str) -> None:
    losses = []
    for precision in ("fp32", "mixed"):
        recipe = replace(QUICK, precision=precision)
        trained = fitting(photos, recipe, device=device)
        trained.run(tmp_path / "c.pt")
        losses.append(trained.epochs[-1].loss)

    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_equal_seeds_draw_equal_pictures_and_others_don_t(photos: list[Photo]) -> None:
    views = Views(photos, size=32, resize="pad", recipe=QUICK)

    first, again, other = (views.draw([0, 1, 2], size=24, seed=seed) for seed in (1, 1, 2))

    assert first.shape == (3, 24, 24, 3)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_first_epochs_see_small_pictures_and_none_sees_whole_ones() -> None:
    recipe = Recipe(epochs=10, small_until=0.5)

    assert [recipe.side(epoch, 144) for epoch in (0, 4, 5, 9)] == [80, 80, 112, 112]
    assert recipe.side(9, 8) == 8


def test_helpers_draw_what_would_be_drawn_without_them(photos: list[Photo]) -> None:
    alone, helped = (
        Lessons(photos, QUICK, size=32, resize="pad", tokenizer=None, helpers=helpers) for helpers in (0, 1)
    )

    for one, other in zip(alone.epoch(0)[1], helped.epoch(0)[1], strict=True):
        assert torch.equal(one.pixels, other.pixels)


def test_an_epoch_shows_each_street_photo_once_beside_its_catalogue_photo(photos: list[Photo]) -> None:
    batches = Batches(photos, size=12, seed=0).epoch(0)

    seen = [i for batch in batches for i in batch if photos[i].kind == "street"]
    assert sorted(seen) == [i for i, photo in enumerate(photos) if photo.kind == "street"]
    for batch in batches:
        shown = {photos[i].product for i in batch if photos[i].kind == "catalogue"}
        assert {photos[i].product for i in batch} == shown
    assert batches != Batches(photos, size=12, seed=0).epoch(1)


def test_where_categories_are_known_a_batch_has_few() -> None:
    kinds = [f"kind {letter}" for letter in "abcdefghijklmnopqrst"]
    photos = [
        Photo(Path(f"{kind}{n}-{i}.jpg"), f"{kind}{n}", "street" if i else "catalogue", category=kind)
        for kind in kinds
        for n in range(40)
        for i in range(3)
    ]

    batches = Batches(photos, size=48, seed=0, together=1).epoch(0)

    seen = [i for batch in batches for i in batch if photos[i].kind == "street"]
    assert sorted(seen) == [i for i, photo in enumerate(photos) if photo.kind == "street"]
    assert all(len(batch) <= 72 for batch in batches)
    found = [len({photos[i].category for i in batch}) for batch in batches]
    assert sum(found) / len(found) < 10 < len({photo.category for photo in photos})


@pytest.mark.parametrize("loss", ["cosface", "arcface", "multi-similarity", "supcon"])
def test_each_loss_is_lower_where_products_lie_apart(loss: str) -> None:
    torch.manual_seed(0)
    objective = Objective(loss, products=4, dimension=8, search=1.0)  # type: ignore[arg-type]
    products = torch.arange(4).repeat_interleave(3)
    street = torch.tensor([False, True, True] * 4)
    vectors = torch.nn.Parameter(torch.nn.functional.normalize(torch.randn(12, 8), dim=1))
    optimizer = torch.optim.Adam([vectors, *objective.parameters()], lr=0.05)

    losses = []
    for _ in range(40):
        value = objective(torch.nn.functional.normalize(vectors, dim=1), products, street)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())

    assert losses[-1] < 0.7 * losses[0]


def test_a_batch_knows_which_words_its_pictures_titles_have(photos: list[Photo]) -> None:
    tokenizer = train_tokenizer(photo.title for photo in photos if photo.title)
    lessons = Lessons(photos, QUICK, size=32, resize="pad", tokenizer=tokenizer, helpers=0)
    chosen = [0, 1, 5, 10]  # two of the red disc, one of the red bar, one of the green disc

    batch = lessons.batch(chosen, epoch=0, number=0)

    assert batch.titled.tolist() == [True] * 4
    assert batch.titles.tolist() == [0, 0, 1, 2]
    columns = dict(zip(("bar", "disc", "green", "red"), batch.said.T.tolist(), strict=True))
    assert columns["disc"] == [True, True, False, True]
    assert columns["red"] == [True, True, True, False]
    assert batch.words.shape == (4, batch.tokens.shape[1])


def test_a_word_is_to_find_all_that_have_it() -> None:
    objective = Objective("supcon", products=4, dimension=2, search=1.0)
    pictures = torch.tensor([(1.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
    said = torch.tensor([(True, False), (True, False), (False, True)])
    right, wrong = torch.tensor([(1.0, 0.0), (0.0, 1.0)]), torch.tensor([(0.0, 1.0), (1.0, 0.0)])

    assert objective.each_word(pictures, said, right) < 0.5 < objective.each_word(pictures, said, wrong)


def test_a_query_for_a_product_that_is_not_shown_is_named(photos: list[Photo]) -> None:
    queries = [photo for photo in photos if photo.kind == "street"]
    shown = [photo for photo in photos if photo.kind == "catalogue" and photo.product != "red-bar"]

    with pytest.raises(TableError, match=r"red-bar-1\.png: its product 'red-bar' has no photo"):
        Validation(queries, shown, size=32, resize="pad")


def test_a_file_that_is_no_picture_is_named(photos: list[Photo], tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    broken = Photo(tmp_path / "broken.jpg", "red-bar", "street")

    with pytest.raises(TableError, match=r"broken\.jpg: neither JPEG, PNG nor WebP"):
        Views([*photos, broken], size=32, resize="pad", recipe=QUICK)


def test_the_command_makes_a_bundle(shop: Path, tmp_path: Path) -> None:
    given = ["train", str(shop), "--out", str(tmp_path / "b"), "--size", "32", "--dimension", "16", "--epochs", "1"]

    result = CliRunner().invoke(app, [*given, "--json"])

    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["epochs"] == 1
    assert 0 < shown["last"]["score"]["mrr"] <= 1
    assert shown["space"] == load_bundle(tmp_path / "b").manifest.space


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--backbone", "timm/nothing"], "timm/nothing"),
        (["--catalogue", "none.csv"], "none.csv: No such file"),
        (["--resume"], "checkpoint.pt"),
        (["--fold", "5"], "--fold 5"),
        (["--validate", "v.csv", "--hold-out", "0.1"], "--validate and --hold-out"),
        pytest.param(
            ["--device", "cuda"], "sees no GPU", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU")
        ),
    ],
)
def test_what_the_command_can_t_do_is_said(shop: Path, tmp_path: Path, options: list[str], named: str) -> None:
    result = CliRunner().invoke(app, ["train", str(shop), "--out", str(tmp_path / "b"), *options])

    assert result.exit_code == 1
    assert named in str(result.exception)
    assert not (tmp_path / "b" / "bundle.json").exists()


def test_any_tower_of_the_interface_can_be_learnt(photos: list[Photo], tmp_path: Path) -> None:
    class Average(ImageTower):
        backbone, size, dimension, resize = "average", 32, 4, "pad"

        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(3, 4)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(self.head(pixels.float().mean(dim=(1, 2)) / 255), dim=1)

    lessons = Lessons(photos, QUICK, size=32, resize="pad", tokenizer=None, helpers=0)
    trained = Fitting(Towers(Average()), lessons, products=8, recipe=QUICK)

    trained.run(tmp_path / "c.pt")

    assert trained.epochs[1].loss < trained.epochs[0].loss * 1.2
