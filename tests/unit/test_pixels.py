"""Whatever the bytes, `decode` gives the pixels that a person would see, or says why not."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from encoders.pixels import ImageError, decode
from schemas.bundles import Resize
from schemas.dead_letters import Reason

RED, GREEN, BLUE, WHITE = (220, 20, 30), (20, 200, 40), (30, 40, 210), (255, 255, 255)


def _file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _quarters(width: int = 64, height: int = 64) -> Image.Image:
    """Red and green above, blue and white below."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(WHITE, (width // 2, height // 2, width, height))
    return image


def _corners(pixels: np.ndarray[Any, Any]) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters: upper left, upper right, lower left, lower right."""
    low, high = len(pixels) // 4, len(pixels) * 3 // 4
    return [tuple(int(v) for v in pixels[y, x]) for y, x in ((low, low), (low, high), (high, low), (high, high))]


def _near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 12


def _reason(data: bytes, **options: Any) -> Reason:
    with pytest.raises(ImageError) as refusal:
        decode(data, size=32, resize="crop", **options)
    assert str(refusal.value)
    return refusal.value.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_each_format_gives_rgb_in_the_models_size(kind: str, resize: Resize) -> None:
    pixels = decode(_file(_quarters(), kind, quality=95), size=32, resize=resize)

    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert all(map(_near, _corners(pixels), (RED, GREEN, BLUE, WHITE)))


def test_crop_keeps_the_middle_square() -> None:
    image = Image.new("RGB", (300, 100), RED)
    image.paste(GREEN, (100, 0, 200, 100))

    pixels = decode(_file(image), size=20, resize="crop")

    assert np.all(pixels[:, 2:-2] == GREEN)


def test_pad_keeps_all_and_adds_white() -> None:
    pixels = decode(_file(Image.new("RGB", (40, 80), BLUE)), size=32, resize="pad")

    assert np.all(pixels[:, :8] == 255)
    assert np.all(pixels[:, 8:24] == BLUE)
    assert np.all(pixels[:, 24:] == 255)


def test_squash_keeps_all_and_stretches() -> None:
    pixels = decode(_file(_quarters(200, 50)), size=32, resize="squash")

    assert _corners(pixels) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 2)])
@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_odd_proportions_are_no_trouble(size: tuple[int, int], resize: Resize) -> None:
    assert decode(_file(Image.new("RGB", size, RED)), size=32, resize=resize).shape == (32, 32, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("resize", ["crop", "pad"])
def test_a_turned_camera_makes_no_difference(orientation: int, kind: str, resize: Resize) -> None:
    upright = _quarters(96, 64)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes each orientation's
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation

    found = decode(_file(stored, kind, quality=98, exif=exif), size=16, resize=resize)

    wanted = decode(_file(upright, kind, quality=98), size=16, resize=resize)
    assert np.abs(found.astype(int) - wanted).mean() < 3


def test_broken_exif_does_not_spoil_a_sound_picture() -> None:
    data = _file(_quarters(), "PNG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff nonsense")

    assert _corners(decode(data, size=32, resize="crop"))[0] == RED


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
@pytest.mark.parametrize("shape", [(1600, 900), (900, 1600), (1001, 1003), (257, 4000)])
def test_drafting_a_jpeg_hardly_changes_it(shape: tuple[int, int], resize: Resize) -> None:
    across, down = np.meshgrid(np.linspace(0, 1, shape[0]), np.linspace(0, 1, shape[1]))
    waves = np.stack([across * 255, down * 255, 127 + 120 * np.sin(across * 20 + down * 9)], axis=2)
    image = Image.fromarray(waves.astype(np.uint8))

    drafted = decode(_file(image, "JPEG", quality=95), size=112, resize=resize)

    assert np.abs(drafted.astype(int) - decode(_file(image), size=112, resize=resize)).mean() < 2


def test_a_draft_is_never_below_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def watched(self: Image.Image, *arguments: Any, **options: Any) -> Image.Image:
        seen.append(self.size)
        return resize(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    for mode in ("crop", "squash"):
        for width, height in ((224, 448), (447, 3000), (896, 900), (1791, 1800)):
            decode(_file(Image.new("RGB", (width, height)), "JPEG"), size=224, resize=mode)
    decode(_file(Image.new("RGB", (1792, 100)), "JPEG"), size=224, resize="pad")

    assert min(min(size) for size in seen[:-1]) >= 224
    assert seen[-1][0] >= 224
    assert seen[-1][0] < 1792


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        ("1", 1, WHITE),
        ("L", 100, (100, 100, 100)),
        ("LA", (0, 0), WHITE),
        ("RGBA", (*RED, 0), WHITE),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("I;16", 0x8000, (128, 128, 128)),
        ("P", 0, (0, 0, 0)),
    ],
)
def test_every_png_mode_becomes_rgb_on_white(mode: str, colour: Any, wanted: tuple[int, ...]) -> None:
    pixels = decode(_file(Image.new(mode, (20, 20), colour)), size=8, resize="crop")

    assert all(_near(tuple(map(int, pixel)), wanted) for pixel in pixels.reshape(-1, 3))


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = _quarters().quantize(8)
    blue = image.getpixel((2, 62))

    pixels = decode(_file(image, transparency=blue), size=32, resize="crop")

    assert [_near(a, b) for a, b in zip(_corners(pixels), (RED, GREEN, WHITE, WHITE), strict=True)] == [True] * 4


def test_the_colour_under_transparency_does_not_bleed() -> None:
    image = Image.new("RGBA", (100, 100), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 50, 100))

    pixels = decode(_file(image), size=9, resize="crop").astype(int)

    assert np.all(pixels[..., 0] <= pixels[..., 2])


def test_cmyk_becomes_rgb() -> None:
    data = _file(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG", quality=95)

    assert _near(tuple(map(int, decode(data, size=8, resize="crop")[4, 4])), (255, 0, 0))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_first_frame_stands_for_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, GREEN, BLUE)]

    data = _file(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)

    assert np.all(decode(data, size=8, resize="crop") == RED)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "ICO", "AVIF"])
def test_other_formats_are_unsupported(kind: str) -> None:
    assert _reason(_file(_quarters(), kind)) == Reason.IMAGE_UNSUPPORTED


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", b"\x00" * 100, b"%!PS-Adobe-3.0 EPSF-3.0"])
def test_no_picture_at_all_is_unsupported(data: bytes) -> None:
    assert _reason(data) == Reason.IMAGE_UNSUPPORTED


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.98, 0.5, 0.1])
def test_a_truncated_picture_is_corrupt(kind: str, kept: float) -> None:
    noise = Image.frombytes("RGB", (64, 64), np.random.default_rng(0).bytes(64 * 64 * 3))
    data = _file(noise, kind)

    assert _reason(data[: int(len(data) * kept)]) == Reason.IMAGE_CORRUPT


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_too_many_pixels_are_refused_from_the_header(kind: str) -> None:
    data = _file(Image.new("RGB", (101, 100)), kind)

    assert _reason(data, max_pixels=10_000) == Reason.IMAGE_TOO_LARGE
    assert decode(data, size=8, resize="crop", max_pixels=10_100).shape == (8, 8, 3)


def test_no_memory_counts_as_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "resize", full)

    assert _reason(_file(_quarters())) == Reason.IMAGE_TOO_LARGE


def test_many_threads_decode_alike() -> None:
    files = [_file(_quarters(150 + i, 200), kind) for i in range(8) for kind in ("JPEG", "PNG", "WEBP")] * 8

    def pixels(data: bytes) -> bytes:
        return decode(data, size=56, resize="pad").tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(pixels, files)) == [pixels(data) for data in files]
