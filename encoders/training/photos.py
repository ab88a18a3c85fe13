"""What to learn from: tables of photos (CSV), each naming a picture's file and the product that it shows."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

Kind = Literal["catalogue", "street"]

_KINDS: dict[str, Kind] = {"catalogue": "catalogue", "street": "street"}
_IMAGE, _PRODUCT, _TITLE = ("image", "iconic"), ("product", "label", "class_id"), ("title", "name")


class TableError(ValueError):
    """A table that can't be learnt from; the message names the file, the line and the column."""


@dataclass(frozen=True)
class Photo:
    """One picture of a product: the shop's own (`catalogue`), or anybody's (`street`)."""

    path: Path
    product: str
    kind: Kind
    title: str | None = field(default=None, compare=False)
    category: str | None = field(default=None, compare=False)


def read_photos(table: Path, kind: Kind = "street") -> list[Photo]:
    """Read a CSV: `image` (relative to the CSV) and `product`, and perhaps `title`, `category` and `kind`.

    `product` may also be called `label` or `class_id`, `image` `iconic`, `title` `name`.

    Args:
        table: the file, UTF-8.
        kind: of the photos, where no column `kind` says it.

    Raises:
        TableError: a column, a field or a picture's file is missing or wrong.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            photos = list(_rows(table, csv.DictReader(lines, strict=True), kind))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{table}: {getattr(error, 'strerror', None) or error}") from None
    if not photos:
        raise TableError(f"{table}: has no photos")
    return photos


def split(photos: Sequence[Photo], share: float, fold: int = 0) -> tuple[list[Photo], list[Photo]]:
    """Hold out a share of each product's street photos; a product keeps at least two photos of any kind.

    They are taken in a row, as photos that follow one another are often of one scene.

    Args:
        photos: catalogue and street photos.
        share: 0 to 0.5.
        fold: which of the 1 / share rows to take, for cross-validation.

    Returns:
        The photos to learn from, and those held out; each in their order.
    """
    streets: dict[str, list[Photo]] = {}
    for photo in photos:
        if photo.kind == "street":
            streets.setdefault(photo.product, []).append(photo)
    totals = Counter(photo.product for photo in photos)
    held: set[Photo] = set()
    for product, row in streets.items():
        first, end = round(len(row) * share * fold), round(len(row) * share * (fold + 1))
        held.update(row[first : min(end, first + totals[product] - 2)])
    return [photo for photo in photos if photo not in held], [photo for photo in photos if photo in held]


def with_catalogue(photos: Sequence[Photo]) -> list[Photo]:
    """Fill in what photos lack, and see that every product has two.

    A product's first photo stands for its catalogue photo where it has none; a photo without a title takes its
    product's.

    Raises:
        TableError: naming a product with one photo, or saying that there is but one product.
    """
    counts = Counter(photo.product for photo in photos)
    if len(counts) < 2:
        raise TableError(f"only one product, {next(iter(counts), '')!r}: nothing to tell it from")
    lonely = [product for product, count in counts.items() if count < 2]
    if lonely:
        more = f" (and {len(lonely) - 1} more)" if len(lonely) > 1 else ""
        raise TableError(f"product {lonely[0]!r} has one photo{more}: two of each product are needed")
    return list(_completed(photos))


def _completed(photos: Sequence[Photo]) -> Iterator[Photo]:
    shown = {photo.product for photo in photos if photo.kind == "catalogue"}
    titles = {photo.product: photo.title for photo in reversed(photos) if photo.title}
    for photo in photos:
        kind: Kind = photo.kind if photo.product in shown else "catalogue"
        shown.add(photo.product)
        yield replace(photo, kind=kind, title=photo.title or titles.get(photo.product))


def _rows(table: Path, rows: csv.DictReader[str], kind: Kind) -> Iterator[Photo]:
    columns = rows.fieldnames or []
    image, product = _column(table, columns, _IMAGE), _column(table, columns, _PRODUCT)
    title = next((name for name in _TITLE if name in columns), None)
    for row in rows:
        where = f"{table}, line {rows.line_num}"
        path = table.parent / _text(where, row, image)
        if not path.is_file():
            raise TableError(f"{where}: {image}: no file {path}")
        words = (row[title] or "").strip() if title else ""
        category = (row.get("category") or "").strip() or None
        yield Photo(path, _text(where, row, product), _kind(where, row, kind), words or None, category)


def _column(table: Path, columns: Sequence[str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in columns:
            return name
    raise TableError(f"{table}: no column {' or '.join(map(repr, names))}, only {', '.join(columns)}")


def _text(where: str, row: dict[str, str], column: str) -> str:
    if not (value := (row[column] or "").strip()):
        raise TableError(f"{where}: {column} is empty")
    return value


def _kind(where: str, row: dict[str, str], default: Kind) -> Kind:
    value = (row.get("kind") or default).strip()
    if value not in _KINDS:
        raise TableError(f"{where}: kind is {value!r}, neither 'catalogue' nor 'street'")
    return _KINDS[value]
