"""Bytes of a picture in, pixels for the model out: the one code path of the index and of the query.

Safe to call from many threads at once. Colour profiles are ignored: shops' photos are sRGB, nearly all.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from encoders.headers import Format, ImageError, check_header
from schemas.bundles import Resize
from schemas.dead_letters import Reason

__all__ = ["MAX_PIXELS", "ImageError", "Pixels", "decode"]

MAX_PIXELS = 50_000_000

Pixels = npt.NDArray[np.uint8]

_FILES: dict[Format, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, *, size: int, resize: Resize, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a JPEG, PNG or WebP picture, turn it upright, and bring it to the model's size (bicubic).

    Transparency becomes white; the first frame stands for an animation.

    Args:
        data: the file's bytes.
        size: height and width in pixels.
        resize: `crop` keeps the middle square, `pad` adds white beside the shorter side, `squash` stretches.
        max_pixels: more than this is refused from the header, before anything is decoded.

    Returns:
        uint8 (size, size, 3), RGB.

    Raises:
        ImageError: `image_unsupported` (another format), `image_too_large` (pixels, header, memory) or `image_corrupt`.
    """
    try:
        with _open(data, max_pixels) as image:
            return np.asarray(_fit(image, size, resize))
    except ImageError:
        raise
    except (MemoryError, Image.DecompressionBombError) as error:
        raise ImageError(Reason.IMAGE_TOO_LARGE, str(error) or "no memory to decode it") from error
    except Exception as error:  # on hostile bytes Pillow raises nearly anything: struct.error, SyntaxError, EOFError...
        raise ImageError(Reason.IMAGE_CORRUPT, f"{type(error).__name__}: {error}"[:300]) from error


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header.

    Not through `Image.open`, which tries formats that are not wanted and reports a bomb as a warning only.
    """
    image = _FILES[check_header(data, max_pixels)](BytesIO(data))
    width, height = image.size
    if width * height > max_pixels:  # a second header, which only Pillow found
        raise ImageError(Reason.IMAGE_TOO_LARGE, f"{width} x {height} pixels are more than {max_pixels}")
    return image


def _fit(image: ImageFile.ImageFile, size: int, resize: Resize) -> Image.Image:
    target = _target(image.size, size, resize)
    decoded: tuple[float, float] = image.size
    # JPEG only: decode at 1/2, 1/4 or 1/8, never below the target; the last column and row may be filling.
    if (drafted := image.draft(None, target)) is not None:
        decoded = drafted[1][2:]
    image.load()
    small = _in_colour(image).resize(target, Image.Resampling.BICUBIC, box=_box(decoded, resize))
    if (turn := _UPRIGHT.get(_orientation(image))) is not None:
        small = small.transpose(turn)
    if small.size == (size, size) and small.mode == "RGB":
        return small
    canvas = Image.new("RGB", (size, size), "white")
    corner = ((size - small.width) // 2, (size - small.height) // 2)
    canvas.paste(small, corner, mask=small if small.mode == "RGBA" else None)
    return canvas


def _target(found: tuple[int, int], size: int, resize: Resize) -> tuple[int, int]:
    """Width and height to resize to, before the picture is turned upright."""
    if resize != "pad":
        return size, size
    scale = size / max(found)
    return max(1, round(found[0] * scale)), max(1, round(found[1] * scale))


def _box(decoded: tuple[float, float], resize: Resize) -> tuple[float, float, float, float]:
    """Left, upper, right and lower bound of what is kept."""
    width, height = decoded
    if resize != "crop":
        return 0, 0, width, height
    side = min(decoded)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side


def _in_colour(image: Image.Image) -> Image.Image:
    """RGB, or RGBA where something is transparent (resized premultiplied, so no hidden colour bleeds in)."""
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion clips instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF beside a sound picture: show it as it is
        return 1
