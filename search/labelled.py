"""What people have labelled, from CSV files: which products a picture or some words should find, and a gallery of them.

Pictures are named relative to the file that names them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from schemas.canary import is_canary

_MOST_IMAGES = 16  # the event contract's


class LabelError(ValueError):
    """A labelled file that can't be used; the message names the file, the line and the column."""


@dataclass(frozen=True)
class Query:
    """A picture, or words, and the products that it should find."""

    name: str
    """As the file has it: the picture's path, or the words."""
    image: Path | None
    text: str | None
    products: tuple[str, ...]
    category: str | None = None


@dataclass(frozen=True)
class GalleryProduct:
    """A product to be found, and its pictures."""

    product_id: str
    images: tuple[Path, ...]
    title: str | None = None
    category: str | None = None


def read_pairs(file: Path) -> list[Query]:
    """Read labelled pairs: columns `query` (a picture) or `text`, `product`, and perhaps `category`.

    Rows with the same query are one query with several relevant products.

    Raises:
        LabelError: see there.
    """
    queries: dict[tuple[str, str], Query] = {}
    for where, row in _rows(file, required=("product",), one_of=("query", "text")):
        fresh = _query(where, file, row)
        key = row.get("query", ""), row.get("text", "")
        known = queries.get(key, replace(fresh, products=()))
        if fresh.category != known.category:
            raise LabelError(f"{where}: category: {fresh.name!r} has another one above")
        queries[key] = replace(known, products=(*known.products, *fresh.products))
    if not queries:
        raise LabelError(f"{file}: holds no pairs")
    return list(queries.values())


def _query(where: str, file: Path, row: Mapping[str, str]) -> Query:
    name, text = row.get("query"), row.get("text")
    if bool(name) == bool(text):
        raise LabelError(f"{where}: needs either a query or a text")
    image = _picture(where, file, "query", name) if name else None
    return Query(name or text or "", image, text or None, (_value(where, row, "product"),), row.get("category") or None)


def read_gallery(file: Path) -> list[GalleryProduct]:
    """Read the products to be found: columns `image`, `product`, and perhaps `category`, `title`; a row a picture.

    Raises:
        LabelError: see there.
    """
    products: dict[str, GalleryProduct] = {}
    for where, row in _rows(file, required=("image", "product")):
        product = _value(where, row, "product")
        if is_canary(product):
            raise LabelError(f"{where}: product: {product!r} is reserved for the canary")
        image = _picture(where, file, "image", _value(where, row, "image"))
        before = products.get(product, GalleryProduct(product, ()))
        if len(before.images) == _MOST_IMAGES:
            raise LabelError(f"{where}: {product!r} has more than {_MOST_IMAGES} pictures")
        title, category = before.title or row.get("title") or None, before.category or row.get("category") or None
        products[product] = GalleryProduct(product, (*before.images, image), title, category)
    if not products:
        raise LabelError(f"{file}: holds no products")
    return list(products.values())


def _rows(
    file: Path, *, required: tuple[str, ...], one_of: tuple[str, ...] = ()
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each row with its place; a row may leave columns at its end empty."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, restval="", strict=True)
            _check_header(file, reader.fieldnames or (), required, one_of)
            for row in reader:
                where = f"{file}, line {reader.line_num}"
                if None in row:
                    raise LabelError(f"{where}: has more columns than the first line")
                yield where, {name: value.strip() for name, value in row.items()}
    except OSError as error:
        raise LabelError(f"{file}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{file}: no CSV in UTF-8: {error}") from error


def _check_header(file: Path, names: Sequence[str], required: Sequence[str], one_of: Sequence[str]) -> None:
    missing = [name for name in required if name not in names]
    if one_of and not set(one_of) & set(names):
        missing.append(" or ".join(one_of))
    if missing:
        raise LabelError(
            f"{file}: the first line has no column {', '.join(missing)}; it has {', '.join(names) or 'none'}"
        )


def _value(where: str, row: Mapping[str, str], column: str) -> str:
    if not row[column]:
        raise LabelError(f"{where}: {column} is empty")
    return row[column]


def _picture(where: str, file: Path, column: str, name: str) -> Path:
    path = file.parent / name
    if not path.is_file():
        raise LabelError(f"{where}: {column}: there is no file {path}")
    return path
