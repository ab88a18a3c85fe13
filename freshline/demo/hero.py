"""The product that the story is about, and what a shopper saw of it."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass

from PIL import Image, ImageOps

from freshline.demo import drawn
from freshline.demo.catalogue import Catalogue, Item


@dataclass(frozen=True)
class Hero:
    """A product, its own picture, and a picture that a shopper took of it."""

    product_id: str
    item: Item
    street_photo: bytes
    words: str | None = None
    """What a shopper might type, where the model can be expected to know the words."""

    @property
    def title(self) -> str:
        """What the shop calls it."""
        return self.item.product.title

    @property
    def own_picture(self) -> bytes:
        """The bytes of the shop's picture."""
        return self.item.picture.read_bytes()


def drawn_hero(catalogue: Catalogue, *, words: bool) -> Hero:
    """Of the drawn catalogue: amid clutter, badly lit, as a phone would see it; asked for in words too if need be."""
    product_id = drawn.file_name(drawn.HERO)
    item = catalogue.items[product_id]
    said = " ".join(reversed(item.product.title.lower().split()))
    return Hero(product_id, item, drawn.street_photo_of_hero(), said if words else None)


def own_hero(catalogue: Catalogue) -> Hero:
    """Of one's own photos: the first that no other product has too, since nothing could tell those apart."""
    holders = Counter(_digest(item) for item in catalogue.items.values())
    alone = (product_id for product_id, item in catalogue.items.items() if holders[_digest(item)] == 1)
    product_id = next(alone, next(iter(catalogue.items)))
    item = catalogue.items[product_id]
    return Hero(product_id, item, taken_again(item.picture.read_bytes()))


def taken_again(picture: bytes) -> bytes:
    """The picture as somebody else might have taken it: a little turned, and closer."""
    with Image.open(io.BytesIO(picture)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    upright.thumbnail((1024, 1024))
    turned = upright.rotate(3, Image.Resampling.BICUBIC, fillcolor=upright.getpixel((0, 0)))
    width, height = turned.size
    buffer = io.BytesIO()
    turned.crop((width // 25, height // 25, width - width // 25, height - height // 25)).save(buffer, "JPEG")
    return buffer.getvalue()


def _digest(item: Item) -> str | None:
    return item.product.images[0].digest
