"""Street photos: a drawn product as a shopper's phone would see it: turned, badly lit, amid clutter."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from encoders.training.drawing import DrawnProduct, cutout, random_product

Floats = npt.NDArray[np.floating]


def street_photo(product: DrawnProduct, seed: int, size: int = 256, figure: Image.Image | None = None) -> Image.Image:
    """Photograph a product once; equal arguments give equal pictures.

    Args:
        product: what is photographed.
        seed: of the place, the light and the hand that holds the camera.
        size: height and width in pixels.
        figure: the product's `cutout` at about that size, where it was drawn already.

    Returns:
        RGB (size, size).
    """
    rng = random.Random(seed)
    scene = _background(rng, size)
    for _ in range(rng.randrange(4)):
        _add_clutter(scene, rng)
    _stand(scene, figure or cutout(product, size), rng)
    if rng.random() < 0.3:
        _add_obstacle(scene, rng)
    return _developed(_lit(scene, rng), rng)


def _background(rng: random.Random, size: int) -> Image.Image:
    """A wall and a floor, each of planks, bricks, tiles, cloth or nothing much."""
    wall, floor = (_surface(rng, size) for _ in range(2))
    horizon = int(size * rng.uniform(0.3, 1.1))
    if horizon < size:
        wall.paste(floor.crop((0, 0, size, size - horizon)), (0, horizon))
    return wall.filter(ImageFilter.GaussianBlur(rng.uniform(0, size / 90)))


def _surface(rng: random.Random, size: int) -> Image.Image:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    texture = rng.choice(_SURFACES)(x, y, rng)
    grain = _noise(rng, size, rng.choice((6, 14, 40))) * rng.uniform(0.03, 0.18)
    colour = np.array([rng.uniform(70, 235)] * 3) + np.array([rng.gauss(0, 22) for _ in range(3)])
    return _image(colour * (0.75 + 0.35 * texture + grain)[..., None])


def _planks(x: Floats, y: Floats, rng: random.Random) -> Floats:
    row = y * rng.uniform(3, 9)
    shade = np.sin(np.floor(row) * 12.9898) * 0.25 + 0.1 * np.sin((x * 5 + np.sin(row * 6)) * 9)
    plank: Floats = (0.6 + shade) * (row % 1 > 0.05)
    return plank


def _bricks(x: Floats, y: Floats, rng: random.Random) -> Floats:
    rows = rng.uniform(5, 11)
    down = y * rows
    across = x * rows * 0.45 + 0.5 * (np.floor(down) % 2)
    shade = 0.2 * np.sin(np.floor(across) * 7.3 + np.floor(down) * 3.1)
    return np.where((down % 1 > 0.1) & (across % 1 > 0.05), 0.6 + shade, 1.1)


def _tiles(x: Floats, y: Floats, rng: random.Random) -> Floats:
    count, turn = rng.uniform(3, 9), rng.choice((0.0, 0.785))
    u, v = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    second = (np.floor(u * count) + np.floor(v * count)) % 2
    tile: Floats = 0.5 + second * rng.uniform(0, 0.6)
    return tile


def _cloth(x: Floats, y: Floats, rng: random.Random) -> Floats:
    count = rng.uniform(4, 20)
    fold: Floats = 0.6 + 0.3 * np.sin(x * count * 3 + 2 * np.sin(y * 5)) * np.sin(y * count)
    return fold


def _haze(x: Floats, y: Floats, rng: random.Random) -> Floats:
    return 0.6 + rng.uniform(-0.4, 0.4) * (x - 0.5) + rng.uniform(-0.4, 0.4) * (y - 0.5)


_SURFACES: tuple[Callable[[Floats, Floats, random.Random], Floats], ...] = (_planks, _bricks, _tiles, _cloth, _haze)


def _noise(rng: random.Random, size: int, cells: int) -> Floats:
    """Smooth noise (size, size) in -1..1, of about `cells` spots across."""
    coarse = np.frombuffer(rng.randbytes(cells * cells), np.uint8).reshape(cells, cells)
    fine = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(fine, np.float32) / 127.5 - 1


def _add_clutter(scene: Image.Image, rng: random.Random) -> None:
    """Something else that lies about near an edge: another product, or a plain thing."""
    size = scene.width
    extent = int(size * rng.uniform(0.25, 0.6))
    if rng.random() < 0.5:
        thing = cutout(random_product(rng.randrange(2**31)), extent)
    else:
        thing = Image.new("RGBA", (extent, extent))
        shape = rng.choice((ImageDraw.ImageDraw.ellipse, ImageDraw.ImageDraw.rectangle))
        box = (extent * 0.1, extent * rng.uniform(0.1, 0.5), extent * 0.9, extent * 0.9)
        shape(ImageDraw.Draw(thing), box, fill=tuple(rng.randrange(30, 235) for _ in range(3)))
    thing = thing.rotate(rng.uniform(-60, 60), Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(size / 120))
    side = rng.choice((-0.35, 0.65))
    across, along = side + rng.uniform(-0.1, 0.25), rng.uniform(-0.3, 0.9)
    x, y = (across, along) if rng.random() < 0.6 else (along, across)
    scene.paste(thing, (int(x * size), int(y * size)), mask=thing)


def _stand(scene: Image.Image, figure: Image.Image, rng: random.Random) -> None:
    """Put the product into the scene, in perspective and with the shadow that it throws."""
    size = scene.width
    posed = _posed(figure, size, rng)
    shadow = posed.getchannel("A").filter(ImageFilter.GaussianBlur(size / 40))
    depth = rng.uniform(0.2, 0.6)
    reach = int(size * rng.uniform(-0.05, 0.05)), int(size * rng.uniform(0.01, 0.06))
    scene.paste((20, 18, 24), reach, mask=shadow.point(lambda a: a * depth))
    scene.paste(posed, (0, 0), mask=posed)


def _posed(figure: Image.Image, size: int, rng: random.Random) -> Image.Image:
    """RGBA (size, size): the figure turned, tilted, and anywhere near the middle."""
    turn, half = np.radians(rng.gauss(0, 16)), rng.uniform(0.3, 0.52)
    middle = np.array([0.5 + rng.uniform(-0.12, 0.12), 0.5 + rng.uniform(-0.12, 0.12)])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    corners += [[rng.gauss(0, 0.09) for _ in range(2)] for _ in range(4)]
    if rng.random() < 0.25:
        corners[:, 0] *= -1
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    seen = (middle + corners @ rotation.T * half) * size
    own = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float) * figure.width
    return figure.transform(
        (size, size), Image.Transform.PERSPECTIVE, _perspective(seen, own), Image.Resampling.BICUBIC
    )


def _perspective(seen: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> list[float]:
    """The eight coefficients that map each of four seen corners to its own (Heckbert 1989, section 2.2)."""
    rows = []
    for (x, y), (u, v) in zip(seen, own, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
    return [float(value) for value in np.linalg.solve(np.array(rows), own.ravel())]


def _add_obstacle(scene: Image.Image, rng: random.Random) -> None:
    """Something in front: a thumb, a post, a strap."""
    size, width = scene.width, int(scene.width * rng.uniform(0.05, 0.13))
    ends = [(rng.uniform(-0.1, 1.1) * size, rng.choice((-0.1, 1.1)) * size) for _ in range(2)]
    if ends[0][1] == ends[1][1]:  # from one edge a little way in
        ends[1] = (ends[1][0], size * (0.15 if ends[0][1] < 0 else 0.85))
    ImageDraw.Draw(scene).line(ends, fill=tuple(rng.randrange(20, 235) for _ in range(3)), width=width)


def _lit(scene: Image.Image, rng: random.Random) -> Floats:
    """The scene in its light, float (size, size, 3): warm or cool, from one side, with soft shadows."""
    size = scene.width
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0, 6.28)
    light = 1 + rng.uniform(0, 0.5) * (x * np.cos(angle) + y * np.sin(angle))
    light *= 1 + rng.uniform(0, 0.25) * _noise(rng, size, 3)
    light *= 1 - rng.uniform(0, 0.7) * (x**2 + y**2)
    warmth = rng.gauss(0, 0.07)
    tint = np.array([1 + warmth, 1 + rng.gauss(0, 0.02), 1 - warmth])
    gamma, exposure = rng.uniform(0.8, 1.3), rng.uniform(0.8, 1.25)
    linear = (np.asarray(scene, np.float32) / 255) ** gamma
    seen: Floats = linear * light[..., None] * tint * exposure * 255
    return seen


def _developed(pixels: Floats, rng: random.Random) -> Image.Image:
    """What the camera makes of it: blur, grain, JPEG."""
    size = len(pixels)
    grain = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.uniform(0, 9), pixels.shape)
    image = _image(pixels).filter(ImageFilter.GaussianBlur(rng.uniform(0, size / 140)))
    buffer = io.BytesIO()
    _image(np.asarray(image, np.float32) + grain).save(buffer, "JPEG", quality=rng.randrange(45, 93))
    return Image.open(buffer).convert("RGB")


def _image(pixels: Floats) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
