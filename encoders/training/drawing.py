"""A drawn product and its catalogue photo: the same product always gives the same picture."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from encoders.training.geometry import Material, Part
from encoders.training.patterns import PATTERNS
from encoders.training.shapes import SHAPES

Colour = tuple[float, float, float]
Floats = npt.NDArray[np.floating]

COLOURS: dict[str, Colour] = {
    "white": (243, 241, 236),
    "cream": (236, 220, 186),
    "grey": (150, 153, 158),
    "black": (44, 44, 50),
    "red": (203, 52, 56),
    "coral": (240, 116, 92),
    "pink": (238, 158, 182),
    "magenta": (186, 48, 122),
    "purple": (112, 74, 158),
    "lavender": (176, 160, 214),
    "navy": (36, 52, 98),
    "blue": (52, 108, 196),
    "sky": (132, 190, 230),
    "teal": (28, 134, 138),
    "mint": (156, 214, 188),
    "green": (62, 142, 78),
    "olive": (122, 124, 58),
    "yellow": (244, 204, 70),
    "orange": (236, 138, 44),
    "brown": (128, 82, 54),
}
"""Name to RGB, 0 to 255."""

_MATERIALS: dict[Material, Colour] = {
    "wood": (176, 128, 84),
    "metal": (188, 190, 196),
    "dark": (48, 46, 52),
    "light": (246, 244, 238),
    "glow": (255, 255, 255),
}
_OVERSAMPLING = 2


@dataclass(frozen=True)
class DrawnProduct:
    """All that there is to know about a drawn product; equal products give equal pictures."""

    category: str
    colours: tuple[str, str, str]
    pattern: str
    shape: tuple[float, ...]
    seed: int

    @property
    def title(self) -> str:
        """What a shop would call it: "Striped teal mug"."""
        words = [self.colours[0], self.category]
        if self.pattern != "plain":
            words.insert(0, self.pattern)
        return " ".join(words).capitalize()


def random_product(seed: int, category: str | None = None) -> DrawnProduct:
    """Design a product; `category` is drawn too unless it is given."""
    rng = random.Random(seed)
    return DrawnProduct(
        category=category or rng.choice(list(SHAPES)),
        colours=_three(rng.sample(list(COLOURS), 3)),
        pattern=rng.choice(list(PATTERNS)),
        shape=tuple(rng.random() for _ in range(6)),
        seed=seed,
    )


def _three(names: list[str]) -> tuple[str, str, str]:
    first, second, third = names
    return first, second, third


def cutout(product: DrawnProduct, size: int = 256) -> Image.Image:
    """The product alone, RGBA (size, size), transparent around it."""
    side = size * _OVERSAMPLING
    canvas = np.zeros((side, side, 4), np.float32)
    paint = _Paint(product)
    for part in SHAPES[product.category](product.shape):
        _draw(canvas, part, paint)
    canvas[..., :3] /= np.maximum(canvas[..., 3:], 1e-3)
    image = Image.fromarray(np.clip(canvas * (1, 1, 1, 255), 0, 255).astype(np.uint8), "RGBA")
    return image.resize((size, size), Image.Resampling.BOX)


def photo(product: DrawnProduct, size: int = 256, figure: Image.Image | None = None) -> Image.Image:
    """The catalogue photo, RGB (size, size): the product before a bright backdrop, with its shadow.

    `figure` is the product's `cutout` of that size, where it was drawn already.
    """
    rng = random.Random(product.seed ^ 0x5EED)
    tint = np.array([rng.uniform(236, 252) for _ in range(3)])
    fall = np.linspace(1.02, 0.94, size)[:, None, None]
    backdrop = np.broadcast_to(np.clip(tint * fall, 0, 255), (size, size, 3)).astype(np.uint8)
    image = Image.fromarray(backdrop)
    figure = figure or cutout(product, size)
    shadow = figure.getchannel("A").resize((size, size // 8)).filter(ImageFilter.GaussianBlur(size / 60))
    foot = (figure.getbbox() or (0, 0, size, size))[3]
    image.paste((90, 86, 92), (0, foot - size // 14), mask=shadow.point(lambda a: a * 0.45))
    image.paste(figure, (0, 0), mask=figure)
    return image


class _Paint:
    """The colours and the fabric of one product."""

    def __init__(self, product: DrawnProduct) -> None:
        rng = random.Random(product.seed ^ 0xC0105)
        main, trim, accent = (_jittered(COLOURS[name], rng) for name in product.colours)
        self.colours: dict[Material, Colour] = {**_MATERIALS, "main": main, "trim": trim, "accent": accent}
        self._pattern = PATTERNS[product.pattern]
        self._repeats = rng.uniform(4, 10)
        self._turn = rng.choice((0.0, 0.0, 0.3, 0.785, 1.571))
        self._shift = rng.random(), rng.random()

    def fabric(self, x: Floats, y: Floats) -> Floats:
        """Colours (h, w, 3) at the unit coordinates (h, w)."""
        across, down = np.cos(self._turn) * self._repeats, np.sin(self._turn) * self._repeats
        u, v = (x - 0.5) * across - (y - 0.5) * down, (x - 0.5) * down + (y - 0.5) * across
        second = self._pattern((u + self._shift[0]).astype(np.float32), (v + self._shift[1]).astype(np.float32))
        mixed = (1 - second[..., None]) * self.colours["main"] + second[..., None] * self.colours["trim"]
        return mixed.astype(np.float32)


def _jittered(colour: Colour, rng: random.Random) -> Colour:
    red, green, blue = (min(255.0, max(0.0, value + rng.gauss(0, 9))) for value in colour)
    return red, green, blue


def _draw(canvas: Floats, part: Part, paint: _Paint) -> None:
    """Lay one part over the premultiplied RGBA canvas (side, side, 4): colours 0 to 255, alpha 0 to 1."""
    side = len(canvas)
    mask = Image.new("L", (side, side))
    points = [(x * side, y * side) for x, y in part.outline]
    if part.width:
        _stroke(ImageDraw.Draw(mask), points, max(1, round(part.width * side)))
    else:
        ImageDraw.Draw(mask).polygon(points, fill=255)
    if (box := mask.getbbox()) is None:
        return
    left, top, right, bottom = box
    mask = mask.crop(box)
    alpha = np.asarray(mask, np.float32)[..., None] / 255
    colour = _colour(part, paint, box, side) * _light(mask, side, part.relief)
    region = canvas[top:bottom, left:right]
    region *= 1 - alpha
    region[..., :3] += np.clip(colour, 0, 255) * alpha
    region[..., 3:] += alpha


def _stroke(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], width: int) -> None:
    draw.line(points, fill=255, width=width, joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)


def _colour(part: Part, paint: _Paint, box: tuple[int, int, int, int], side: int) -> Floats:
    if not part.patterned:
        return np.array(paint.colours[part.material], np.float32)
    left, top, right, bottom = box
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32) / side
    return paint.fabric(x, y)


def _light(mask: Image.Image, side: int, relief: float) -> Floats:
    """Brightness (h, w, 1) of a softly bulging body that is lit from the upper left."""
    reach = side // 26
    padded = Image.new("L", (mask.width + 2 * reach, mask.height + 2 * reach))
    padded.paste(mask, (reach, reach))
    soft = padded.filter(ImageFilter.BoxBlur(reach)).filter(ImageFilter.BoxBlur(reach / 2))
    height = np.asarray(soft, np.float32) / 255

    def seen_from(offset: int) -> Floats:
        start = reach + offset
        return height[start : start + mask.height, start : start + mask.width]

    slope = seen_from(reach // 2) - seen_from(-reach // 2)
    bulge = 0.55 * slope + 0.35 * (seen_from(0) - 0.85)
    return (1 + relief * bulge)[..., None]
