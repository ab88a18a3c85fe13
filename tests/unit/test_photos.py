"""Tables of photos: what they may say, what is refused and how it is named, what is held out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from encoders.training.photos import Photo, TableError, read_photos, split, with_catalogue


def table(folder: Path, text: str, *pictures: str) -> Path:
    for name in pictures:
        (folder / name).touch()
    (folder / "photos.csv").write_text(text)
    return folder / "photos.csv"


def street(product: str, count: int) -> list[Photo]:
    return [Photo(Path(f"{product}{i}.jpg"), product, "street") for i in range(count)]


def shop(product: str) -> Photo:
    return Photo(Path(f"{product}.jpg"), product, "catalogue")


def test_rows_are_read_with_title_and_kind(tmp_path: Path) -> None:
    text = "image,product,title,kind\na.jpg,p1,Red shoe,catalogue\nb.jpg,p1,,\n"

    first, second = read_photos(table(tmp_path, text, "a.jpg", "b.jpg"))

    assert first == Photo(tmp_path / "a.jpg", "p1", "catalogue")
    assert first.title == "Red shoe"
    assert (second.kind, second.title) == ("street", None)


@pytest.mark.parametrize("header", ["image,label", "label,image", "iconic,class_id", "image,product,other"])
def test_columns_go_by_several_names_in_any_order(tmp_path: Path, header: str) -> None:
    values = {"image": "a.jpg", "iconic": "a.jpg", "other": "x"}
    row = ",".join(values.get(name, "p1") for name in header.split(","))

    assert read_photos(table(tmp_path, f"{header}\n{row}\n", "a.jpg"))[0] == Photo(tmp_path / "a.jpg", "p1", "street")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("image,colour\na.jpg,red\n", r"photos\.csv: no column 'product' or 'label'"),
        ("product\np1\n", r"photos\.csv: no column 'image'"),
        ("image,product\na.jpg,p1\nmissing.jpg,p1\n", r"photos\.csv, line 3: image: no file .*missing\.jpg"),
        ("image,product\na.jpg,\n", r"photos\.csv, line 2: product is empty"),
        ("image,product\na.jpg\n", r"photos\.csv, line 2: product is empty"),
        ("image,product,kind\na.jpg,p1,phone\n", r"photos\.csv, line 2: kind is 'phone'"),
        ("image,product\n", r"photos\.csv: has no photos"),
        ("", r"photos\.csv: no column 'image'"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(TableError, match=named):
        read_photos(table(tmp_path, text, "a.jpg"))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none\.csv: No such file"):
        read_photos(tmp_path / "none.csv")


def test_a_product_with_one_photo_is_named() -> None:
    with pytest.raises(TableError, match=r"product 'b' has one photo \(and 1 more\)"):
        with_catalogue([*street("a", 2), *street("b", 1), *street("c", 1)])


def test_one_product_alone_teaches_nothing() -> None:
    with pytest.raises(TableError, match="only one product, 'a'"):
        with_catalogue(street("a", 3))


def test_the_first_photo_stands_for_a_missing_catalogue_photo() -> None:
    photos = with_catalogue([*street("a", 3), shop("b"), *street("b", 2)])

    assert [photo.kind for photo in photos] == ["catalogue", "street", "street", "catalogue", "street", "street"]


def test_a_photo_without_a_title_takes_its_products() -> None:
    titled = Photo(Path("a.jpg"), "a", "catalogue", "Red shoe")

    photos = with_catalogue([*street("a", 1), titled, *street("b", 2)])

    assert [photo.title for photo in photos] == ["Red shoe", "Red shoe", None, None]


def test_folds_hold_out_each_street_photo_once_and_in_a_row() -> None:
    photos = [shop("a"), *street("a", 10), shop("b"), *street("b", 7)]

    folds = [split(photos, 0.2, fold) for fold in range(5)]

    assert Counter(photo for _, held in folds for photo in held) == Counter(street("a", 10) + street("b", 7))
    assert all(sorted(kept + held, key=photos.index) == photos for kept, held in folds)
    assert [photo.path.name for photo in folds[1][1] if photo.product == "a"] == ["a2.jpg", "a3.jpg"]


def test_what_is_held_out_leaves_two_photos_of_each_product() -> None:
    kept, held = split([shop("a"), *street("a", 1), shop("b"), *street("b", 4)], 0.5)

    assert Counter(photo.product for photo in kept) == {"a": 2, "b": 3}
    assert len(held) == 2
