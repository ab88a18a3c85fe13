"""The demo's own catalogue, drawn once and kept: pictures and a `catalogue.csv`, as a shop's own folder would be."""

from __future__ import annotations

import csv
import hashlib
import inspect
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from encoders.session import available_cores
from encoders.training import clothing, drawing, geometry, homeware, patterns, shapes
from encoders.training.drawing import DrawnProduct, photo, random_product
from encoders.training.street import street_photo
from freshline.demo.own import TABLE

PRODUCTS = 300
SIZE = 384
_FIRST_SEED = 20_000_000  # beyond all that the shipped model was trained and tested on
HERO = 3
_STREET_SEED = 3


def draw_catalogue(cache: Path, report: Callable[[int], None]) -> Path:
    """The folder of the drawn catalogue below `cache`, drawn now if it isn't there yet, and never left half done."""
    done = cache / f"drawn-{_edition()}"
    if (done / TABLE).exists():
        return done
    with TemporaryDirectory(prefix=".drawing-", dir=cache) as made:
        folder = Path(made) / done.name
        folder.mkdir()
        _draw_pictures(folder, report)
        _write_table(folder / TABLE)
        with suppress(OSError):  # another demo was quicker
            folder.rename(done)
    return done


def product(number: int) -> DrawnProduct:
    """The design of a product: kinds take turns."""
    kinds = list(shapes.SHAPES)
    return random_product(_FIRST_SEED + number, kinds[number % len(kinds)])


def file_name(number: int) -> str:
    """The product's picture, which is its product id too."""
    return f"{product(number).category}-{number:03}.jpg"


def street_photo_of_hero() -> bytes:
    """A street photo of the story's product."""
    return _jpeg(street_photo(product(HERO), _STREET_SEED, SIZE))


def _draw_pictures(folder: Path, report: Callable[[int], None]) -> None:
    pool = ThreadPoolExecutor(available_cores(), thread_name_prefix="draw")  # numpy and Pillow let go of the GIL
    try:
        drawn = pool.map(lambda number: _jpeg(photo(product(number), SIZE)), range(PRODUCTS))
        for number, picture in enumerate(drawn):
            (folder / file_name(number)).write_bytes(picture)
            report(number + 1)
    finally:
        pool.shutdown(cancel_futures=True)


def _write_table(file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(("image", "title", "category", "price", "currency"))
        for number in range(PRODUCTS):
            designed = product(number)
            writer.writerow(
                (file_name(number), designed.title, designed.category, f"{9 + number * 37 % 140}.90", "EUR")
            )


def _edition() -> str:
    """Names what is drawn by the code that draws it, so that no change of it shows old pictures."""
    digest = hashlib.sha256(f"{PRODUCTS} {SIZE} {_FIRST_SEED}".encode())
    for module in (clothing, drawing, geometry, homeware, patterns, shapes):
        digest.update(inspect.getsource(module).encode())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()[:12]


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def cache_folder(otherwise: Path) -> Path:
    """Where drawn pictures are kept between runs; `otherwise` where the user's cache can't be written."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "freshline" / "demo"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache):
            return cache
    except (OSError, RuntimeError):  # also: no home
        return otherwise
