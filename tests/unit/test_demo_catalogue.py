"""The demo's catalogues: the drawn one, and folders and CSV files as people have them."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from encoders.bundle import SHIPPED, load_bundle
from encoders.training.shapes import SHAPES
from freshline.demo import drawn
from freshline.demo.catalogue import Catalogue, CatalogueError, cheaper
from freshline.demo.hero import own_hero, taken_again
from freshline.demo.own import TABLE, read_source
from freshline.demo.staging import Staging
from schemas.events import Product

Stage = Callable[[Path], Catalogue]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with three pictures."""
    folder = tmp_path / "shop"
    (folder / "summer").mkdir(parents=True)
    for number, name in enumerate(("red_shoe.jpg", "green-mug.PNG", "summer/hat.webp")):
        Image.new("RGB", (40, 30), (80 * number, 99, 40)).save(folder / name)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def stage(root: Path) -> Stage:
    staging = Staging(root, load_bundle(SHIPPED).manifest, max_bytes=100_000)
    return lambda path: staging.catalogue(read_source(path), lambda _: None)


def table(folder: Path, text: str, name: str = TABLE) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_folder_of_pictures_takes_titles_from_file_names(shop: Path, root: Path, stage: Stage) -> None:
    catalogue = stage(shop)

    titles = {product_id: item.product.title for product_id, item in catalogue.items.items()}
    assert titles == {"red_shoe.jpg": "Red shoe", "green-mug.PNG": "Green mug", "summer/hat.webp": "Hat"}
    assert catalogue.left_out == []
    for product_id, item in catalogue.items.items():
        assert item.picture.parent == root
        assert item.picture.read_bytes() == (shop / product_id).read_bytes()
        assert item.product.images[0].url == item.picture.as_uri()


def test_a_csv_says_more(shop: Path, stage: Stage) -> None:
    table(shop, "\ufeffimage,title,category,price,currency,colour\nred_shoe.jpg,Läufer,Shoe,59.90,EUR,red\n")

    (item,) = stage(shop).items.values()

    assert (item.product.title, item.product.category) == ("Läufer", "Shoe")
    assert (item.product.price, item.product.currency) == (Decimal("59.90"), "EUR")


def test_a_csv_by_its_path_and_with_the_required_columns_alone(shop: Path, stage: Stage) -> None:
    file = table(shop, "title,image\nA hat,summer/hat.webp\n", "hats.csv")

    assert list(stage(file).items) == ["summer/hat.webp"]


def test_bad_rows_are_named_and_left_out(shop: Path, stage: Stage) -> None:
    (shop / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (shop / "notes.jpg").write_text("milk, bread")
    (shop / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(100_001))
    table(
        shop,
        "image,title,price,currency\n"
        "red_shoe.jpg,Red shoe,10,EUR\n"
        "missing.jpg,Missing,10,EUR\n"
        "broken.jpg,Broken,,\n"
        "notes.jpg,Notes,,\n"
        "large.png,Large,,\n"
        "green-mug.PNG,Mug,cheap,EUR\n"
        "summer/hat.webp,Hat,10,euro\n"
        "green-mug.PNG,,10,EUR\n"
        "red_shoe.jpg,Again,10,EUR\n"
        ",No picture,10,EUR\n"
        "summer/hat.webp,Too,10,EUR,much\n"
        "../secret.jpg,Secret,,\n",
    )

    catalogue = stage(shop)

    assert list(catalogue.items) == ["red_shoe.jpg"]
    expected = {
        3: "image: missing.jpg: no such file",
        4: "image: broken.jpg: ",
        5: "image: notes.jpg: neither JPEG, PNG nor WebP",
        6: "image: large.png: more than 100000 bytes (FRESHLINE_IMAGE_MAX_BYTES)",
        7: "price: must be a number from 0 on",
        8: "currency: must be three capital letters",
        9: "image: green-mug.PNG is at catalogue.csv line 7 already",
        10: "image: red_shoe.jpg is at catalogue.csv line 2 already",
        11: "image: empty",
        12: "more cells than columns",
        13: "image: ../secret.jpg: not a path below the catalogue's folder",
    }
    assert len(catalogue.left_out) == len(expected)
    for said, (line, why) in zip(catalogue.left_out, expected.items(), strict=True):
        assert said.startswith(f"catalogue.csv line {line}: {why}")


def test_a_row_without_a_title_names_it(shop: Path, stage: Stage) -> None:
    table(shop, "image,title\nred_shoe.jpg,\nsummer/hat.webp,Hat\n")

    assert stage(shop).left_out == ["catalogue.csv line 2: title: Field required"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"picture,title\na.jpg,A\n", "catalogue.csv line 1: no column image"),
        (b"a,b\n", "no column image and no column title"),
        (b"", "no column image and no column title"),
        (b"image,title\n", "no rows below its header"),
        (b"image,title\na.jpg,\xe4\n", "not UTF-8 (byte 18)"),
        (b"image,title\nno.jpg,No\n", "catalogue.csv line 2: image: no.jpg: no such file"),
    ],
)
def test_a_csv_that_is_of_no_use_is_refused(shop: Path, stage: Stage, content: bytes, message: str) -> None:
    (shop / TABLE).write_bytes(content)

    with pytest.raises(CatalogueError) as refused:
        stage(shop)

    assert message in str(refused.value)
    assert str(shop) in str(refused.value)


def test_what_is_no_catalogue_is_refused(tmp_path: Path, shop: Path, stage: Stage) -> None:
    with pytest.raises(CatalogueError, match="no such folder or CSV file"):
        stage(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CatalogueError, match="neither a CSV nor a JPEG, PNG or WebP picture"):
        stage(empty)
    table(shop, "image,title\n", "a.csv")
    table(shop, "image,title\n", "b.csv")
    with pytest.raises(CatalogueError, match=r"several CSV files: name one of a\.csv, b\.csv"):
        stage(shop)


def test_the_hero_is_a_product_that_looks_like_no_other(shop: Path, stage: Stage) -> None:
    for twin in ("a.jpg", "b.jpg"):
        (shop / twin).write_bytes((shop / "red_shoe.jpg").read_bytes())

    assert own_hero(stage(shop)).product_id == "green-mug.PNG"


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2000, 900)])
def test_a_picture_of_any_size_is_taken_again(tmp_path: Path, size: tuple[int, int]) -> None:
    file = tmp_path / "picture.png"
    Image.new("RGBA", size, (200, 20, 20, 128)).save(file)

    assert taken_again(file.read_bytes()).startswith(b"\xff\xd8\xff")


def test_drawn_pictures_are_kept_and_always_the_same(
    tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "PRODUCTS", 16)
    reported: list[int] = []
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()

    folder = drawn.draw_catalogue(first, reported.append)

    assert reported == list(range(1, 17))
    assert drawn.draw_catalogue(first, reported.append) == folder
    assert len(reported) == 16  # nothing was drawn again
    again = drawn.draw_catalogue(second, lambda _: None)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        file.name: file.read_bytes() for file in again.iterdir()
    }
    assert [path.name for path in first.iterdir()] == [folder.name]
    catalogue = stage(folder)
    assert len(catalogue.items) == 16
    assert {item.product.category for item in catalogue.items.values()} == set(SHAPES)
    assert drawn.file_name(drawn.HERO) in catalogue.items


def test_a_drawing_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawn.draw_catalogue(tmp_path, interrupt)

    assert list(tmp_path.iterdir()) == []


def test_without_a_cache_pictures_are_drawn_for_this_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert drawn.cache_folder(otherwise=tmp_path) == tmp_path


@pytest.mark.parametrize(("price", "reduced"), [("10", "8.00"), ("0.99", "0.79"), (None, "19.90"), ("0", "19.90")])
def test_cheaper(price: str | None, reduced: str) -> None:
    product = Product.model_validate({"title": "A", "price": price, "images": [{"url": "http://a.test/b"}]})

    assert cheaper(product).price == Decimal(reduced)
    assert cheaper(product).currency == "EUR"
