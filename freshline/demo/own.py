"""A shop's own catalogue: a folder of pictures, or a CSV that names them. Read only."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from freshline.demo.catalogue import CatalogueError

TABLE = "catalogue.csv"
COLUMNS = ("image", "title", "category", "price", "currency")
_PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Row:
    """A product as it was found: its picture below the catalogue's folder, and what is said about it."""

    where: str
    image: str
    facts: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True)
class Source:
    """Where the pictures are, and the rows that name them."""

    folder: Path
    rows: list[Row]


def read_source(path: Path) -> Source:
    """Find the catalogue at `path`: a CSV, a folder with one, or a folder of pictures.

    Raises:
        CatalogueError: there is none, or the CSV can't be read.
    """
    if path.is_file():
        return Source(path.parent, _rows(path))
    if not path.is_dir():
        raise CatalogueError(f"{path}: no such folder or CSV file")
    tables = sorted(path.glob("*.csv"))
    if len(tables) > 1 and path / TABLE not in tables:
        raise CatalogueError(f"{path} holds several CSV files: name one of {', '.join(table.name for table in tables)}")
    if tables:
        return Source(path, _rows(path / TABLE if path / TABLE in tables else tables[0]))
    return Source(path, _pictures(path))


def _pictures(folder: Path) -> list[Row]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _PICTURES and file.is_file())
    if not files:
        raise CatalogueError(f"{folder} holds neither a CSV nor a JPEG, PNG or WebP picture")
    return [_row(file.relative_to(folder)) for file in files]


def _row(file: Path) -> Row:
    title = " ".join(file.stem.replace("_", " ").replace("-", " ").split())
    return Row(str(file), file.as_posix(), {"title": title[:1].upper() + title[1:]})


def _rows(table: Path) -> list[Row]:
    try:
        text = table.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if missing := [column for column in ("image", "title") if column not in (reader.fieldnames or ())]:
            raise CatalogueError(f"{table} line 1: no column {' and no column '.join(missing)}")
        rows = list(_read(table.name, reader))
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{table}: not UTF-8 (byte {error.start})") from error
    except csv.Error as error:
        raise CatalogueError(f"{table}: {error}") from error
    except OSError as error:
        raise CatalogueError(f"{table}: {error.strerror}") from error
    if not rows:
        raise CatalogueError(f"{table}: no rows below its header")
    return rows


def _read(name: str, reader: csv.DictReader[str]) -> Iterable[Row]:
    seen: dict[str, str] = {}
    for cells in reader:
        where = f"{name} line {reader.line_num}"
        image = (cells["image"] or "").strip()
        problem = None
        if None in cells:
            problem = "more cells than columns"
        elif not image:
            problem = "image: empty"
        elif image in seen:
            problem = f"image: {image} is at {seen[image]} already"
        facts = {column: value.strip() for column in COLUMNS[1:] if (value := cells.get(column)) and value.strip()}
        yield Row(where, image, facts, problem)
        seen.setdefault(image, where)
