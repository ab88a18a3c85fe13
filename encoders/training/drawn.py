"""Draw a catalogue with its street photos, as a folder of pictures and the table that `freshline train` reads.

    python -m encoders.training.drawn FOLDER [--products N] [--views N] [--seed N] [--size PIXELS]

Equal arguments give equal pictures and words.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from rich.progress import track

from encoders.session import available_cores
from encoders.training.drawing import cutout, photo, random_product
from encoders.training.street import street_photo
from encoders.training.wording import asked_for

TABLE = "catalogue.csv"
COLUMNS = ("image", "product", "title", "category", "kind")
# A million seeds apart: what one seed's products are trained on is never another's test.
_SEEDS_APART = 1_000_000

Row = tuple[str, str, str, str, str]


def draw_folder(
    folder: Path, *, products: int, views: int, seed: int, size: int = 128, processes: int | None = None
) -> Path:
    """Draw `products`, each with its catalogue photo and `views` street photos, and write the table.

    Titles are the drawn shop's words, some by other names that shoppers use; the same for all of a product's photos.

    Args:
        folder: made if need be; what it holds of the same names is replaced.
        products: how many.
        views: street photos of each.
        seed: another gives other products.
        size: height and width of each picture in pixels.
        processes: by default one a core.

    Returns:
        The table: image, product, title, category, kind (`catalogue` or `street`).
    """
    for name in ("catalogue", "street"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    draw = partial(_draw, folder=folder, views=views, size=size)
    seeds = range(seed * _SEEDS_APART, seed * _SEEDS_APART + products)
    # Spawned: a process that forks while PyTorch holds threads may never come back.
    with ProcessPoolExecutor(processes or available_cores(), mp_context=get_context("spawn")) as pool:
        rows = track(pool.map(draw, seeds, chunksize=8), "drawing", total=products)
        return _write_table(folder / TABLE, (row for each in rows for row in each))


def _draw(seed: int, *, folder: Path, views: int, size: int) -> list[Row]:
    product = random_product(seed)
    figure = cutout(product, size)
    name, title = f"{product.category}-{seed}", asked_for(product, random.Random(seed))
    pictures = [("catalogue", photo(product, size, figure))]
    pictures += [("street", street_photo(product, seed * 1000 + view, size, figure)) for view in range(views)]
    rows = []
    for number, (kind, picture) in enumerate(pictures):
        image = f"{kind}/{name}-{number}.jpg"
        picture.save(folder / image, "JPEG", quality=92)
        rows.append((image, name, title, product.category, kind))
    return rows


def _write_table(path: Path, rows: Iterable[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return path


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m encoders.training.drawn", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="made if need be")
    parser.add_argument("--products", type=int, default=3000, help="how many")
    parser.add_argument("--views", type=int, default=3, help="street photos of each")
    parser.add_argument("--seed", type=int, default=1, help="another gives other products")
    parser.add_argument("--size", type=int, default=128, help="height and width in pixels")
    given = parser.parse_args()
    draw_folder(given.folder, products=given.products, views=given.views, seed=given.seed, size=given.size)


if __name__ == "__main__":
    main()
