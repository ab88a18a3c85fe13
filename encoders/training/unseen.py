"""Measure a bundle on drawn products that no training saw, by street photos and by words, and write its model card.

python -m encoders.training.unseen BUNDLE [--products N] [--card COMMAND]
"""

from __future__ import annotations

import argparse
import io
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

from encoders.batcher import Vectors
from encoders.bundle import Bundle, load_bundle
from encoders.metrics import quality
from encoders.pixels import Pixels, decode
from encoders.session import ImageEncoder, available_cores
from encoders.text import TextEncoder
from encoders.training.card import card, shown
from encoders.training.drawing import DrawnProduct, cutout, photo, random_product
from encoders.training.english import plural
from encoders.training.street import street_photo
from encoders.training.wording import asked_for
from schemas.bundles import Resize

# Beyond all that `draw_folder` gives for the seeds of trainings.
FIRST_SEED = 10_000_000_000
Ranks = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Unseen:
    """Drawn products, each photographed once by its shop and once in the street.

    Args:
        products: n designs.
        photos: uint8 (n, size, size, 3), decoded as the index does it.
        streets: likewise, as the search service does it.
    """

    products: list[DrawnProduct]
    photos: Pixels
    streets: Pixels


def draw_unseen(count: int, *, size: int, resize: Resize, processes: int | None = None) -> Unseen:
    """Draw products and their photos, through large JPEG files, for a model that takes `size` and `resize`."""
    draw = partial(_photographed, size=size, resize=resize)
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    # Spawned: a process that forks while PyTorch holds threads may never come back.
    with ProcessPoolExecutor(processes or available_cores(), mp_context=get_context("spawn")) as pool:
        drawn = list(track(pool.map(draw, seeds, chunksize=8), "drawing", total=count))
    photos, streets = zip(*drawn, strict=True)
    return Unseen([random_product(seed) for seed in seeds], np.stack(photos), np.stack(streets))


def shoppers_words(product: DrawnProduct) -> str:
    """The shop's words for a product in any order, half of them in the plural: "mugs teal striped"."""
    rng = random.Random(product.seed)
    words = [plural(word) if word == product.category and rng.random() < 0.5 else word for word in _words(product)]
    rng.shuffle(words)
    return " ".join(words)


def other_words(product: DrawnProduct) -> str:
    """The same with other names for some: "polka dot cup teal"."""
    return asked_for(product, random.Random(product.seed))


def ranks(queries: Vectors, photos: Vectors, descriptions: Sequence[str] | None = None) -> Ranks:
    """The rank from 1 of each query's own photo (or the best rank of those of its description), (n,)."""
    likeness = queries @ photos.T
    own = np.diag(likeness)
    if descriptions is not None:
        names = np.array(descriptions)
        own = np.where(names[:, None] == names[None], likeness, -np.inf).max(axis=1)
    found: Ranks = 1.0 + np.sum(likeness > own[:, None], axis=1)
    return found


def measure(bundle: Bundle, unseen: Unseen) -> dict[str, Ranks]:
    """Each product's rank from 1: by its street photo, and by words.

    `words` are the shop's, in any order and number; for `description` any product that the shop calls the same counts;
    `other` are partly other names.
    """
    pictures, words = ImageEncoder(bundle), TextEncoder(bundle)
    photos = pictures.encode(unseen.photos)
    said = words.encode([shoppers_words(product) for product in unseen.products])
    other = words.encode([other_words(product) for product in unseen.products])
    return {
        "street": ranks(pictures.encode(unseen.streets), photos),
        "words": ranks(said, photos),
        "description": ranks(said, photos, [product.title for product in unseen.products]),
        "other": ranks(other, photos),
    }


def _words(product: DrawnProduct) -> list[str]:
    return product.title.lower().split()


def _photographed(seed: int, *, size: int, resize: Resize) -> tuple[Pixels, Pixels]:
    product = random_product(seed)
    figure = cutout(product)
    shown, street = photo(product, figure=figure), street_photo(product, seed, figure=figure)
    return decode(jpeg(shown), size=size, resize=resize), decode(jpeg(street), size=size, resize=resize)


def jpeg(picture: Image.Image) -> bytes:
    """A JPEG file as shops and phones make them."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m encoders.training.unseen", description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="its folder; MODEL_CARD.md is written into it")
    parser.add_argument("--products", type=int, default=1000, help="how many")
    given = parser.parse_args()
    bundle = load_bundle(given.bundle)
    unseen = draw_unseen(given.products, size=bundle.manifest.input_size, resize=bundle.manifest.resize)
    found = {name: quality(each) for name, each in measure(bundle, unseen).items()}
    for name, figures in found.items():
        sys.stdout.write(f"{name:12} R@1 {shown(figures.recall_at_1)}   R@10 {shown(figures.recall_at_10)}\n")
    (given.bundle / "MODEL_CARD.md").write_text(card(bundle, found), encoding="utf-8")


if __name__ == "__main__":
    main()
