"""Labelled files: what they give, and what is said about those that can't be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.labelled import LabelError, read_gallery, read_pairs


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").touch()

    def written(content: str) -> Path:
        (tmp_path / "labels.csv").write_bytes(content.encode())
        return tmp_path / "labels.csv"

    return written


def test_pairs_of_pictures_and_words(write: Callable[[str], Path], tmp_path: Path) -> None:
    queries = read_pairs(write('\ufeffquery,text,product,category\r\na.jpg,,p1,shoes\r\n,"red, large bag",p2,\r\n'))

    assert [(query.name, query.image, query.text) for query in queries] == [
        ("a.jpg", tmp_path / "a.jpg", None),
        ("red, large bag", None, "red, large bag"),
    ]
    assert [(query.products, query.category) for query in queries] == [(("p1",), "shoes"), (("p2",), None)]


def test_rows_of_one_query_are_its_relevant_products(write: Callable[[str], Path]) -> None:
    first, second = read_pairs(write("query,product\na.jpg,p1\nb.jpg,p1\na.jpg,p2\n"))

    assert (first.products, second.products) == (("p1", "p2"), ("p1",))


def test_rows_of_one_product_are_its_pictures(write: Callable[[str], Path], tmp_path: Path) -> None:
    first, second = read_gallery(write("product,image,title,category\np1,a.jpg,Mug,\np2,b.jpg,,\np1,b.jpg,,mugs\n"))

    assert first.images == (tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert (first.title, first.category) == ("Mug", "mugs")
    assert (second.images, second.title, second.category) == ((tmp_path / "b.jpg",), None, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column product, query or text"),
        ("image,product\na.jpg,p1\n", "has no column query or text; it has image, product"),
        ("query,product\n", "holds no pairs"),
        ("query,product\na.jpg,p1\nmissing.jpg,p1\n", "line 3: query: there is no file"),
        ("query,product\na.jpg,\n", "line 2: product is empty"),
        ("query,text,product\n,,p1\n", "line 2: needs either a query or a text"),
        ("query,text,product\na.jpg,red,p1\n", "line 2: needs either a query or a text"),
        ("query,product\na.jpg,p1,more\n", "line 2: has more columns"),
        ("query,product,category\na.jpg,p1,x\na.jpg,p2,y\n", "line 3: category: 'a.jpg' has another one above"),
        ('query,product\n"a.jpg"x,p1\n', "no CSV in UTF-8"),
    ],
)
def test_what_is_wrong_with_pairs_is_said_with_its_place(
    write: Callable[[str], Path], content: str, message: str
) -> None:
    file = write(content)
    with pytest.raises(LabelError, match=message) as raised:
        read_pairs(file)
    assert str(raised.value).startswith(str(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image\na.jpg\n", "has no column product; it has image"),
        ("image,product\n,p1\n", "line 2: image is empty"),
        ("image,product\n", "holds no products"),
        ("image,product\n" + "a.jpg,p1\n" * 17, "line 18: 'p1' has more than 16 pictures"),
    ],
)
def test_what_is_wrong_with_a_gallery_is_said_with_its_place(
    write: Callable[[str], Path], content: str, message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        read_gallery(write(content))


@pytest.mark.parametrize("read", [read_pairs, read_gallery])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(LabelError, match=r"absent.csv: No such file"):
        read(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes(b"query,image,product\nM\xfctze,x,p\n")
    with pytest.raises(LabelError, match=r"latin.csv: no CSV in UTF-8"):
        read(tmp_path / "latin.csv")
