"""What a picture's file says of itself, read without decoding anything: its size, and whether it is safe to decode.

Pillow walks every segment of a header in Python, and libjpeg every scan over the whole picture; a file of 20 MB made of
nothing else would keep a thread busy for minutes. So each file is walked here first, within bounds.
"""

from __future__ import annotations

import re
import struct
from typing import Literal

from schemas.dead_letters import Reason

Format = Literal["JPEG", "PNG", "WEBP"]

MAX_CHUNKS = 20_000
"""Segments of a JPEG's header, chunks of a PNG or WebP."""
MAX_METADATA = 8_000_000
"""Bytes of EXIF, colour profiles, texts and thumbnails."""
MAX_SCANS = 100
"""Of a progressive JPEG; ten are usual."""
MAX_SCANNED = 1_000_000_000
"""Pixels times scans."""

MAX_JUNK = 65_536
"""Bytes between two segments of a JPEG."""

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"fdAT", b"IEND", b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANMF"})


class ImageError(ValueError):
    """A picture that can't be used, now or ever; `reason` is what its dead letter says."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def check_header(data: bytes, max_pixels: int) -> Format:
    """Which format the bytes are of.

    Args:
        data: the file.
        max_pixels: width times height, at most.

    Raises:
        ImageError: `image_unsupported` (another format), `image_too_large` (pixels, scans, header) or `image_corrupt`.
    """
    kind = _format(data)
    try:
        width, height = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}[kind](data)
    except (IndexError, struct.error):
        raise _corrupt("the header ends too early") from None
    if width * height > max_pixels:
        raise _too_large(f"{width} x {height} pixels are more than {max_pixels}")
    if width * height == 0:
        raise _corrupt(f"{width} x {height} pixels")
    if kind == "JPEG":
        _check_scans(data, width * height)
    return kind


def _format(data: bytes) -> Format:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    raise ImageError(Reason.IMAGE_UNSUPPORTED, "neither JPEG, PNG nor WebP")


def _jpeg(data: bytes) -> tuple[int, int]:
    """Up to the first scan, as far as Pillow reads it."""
    at, metadata, size = 2, 0, None
    for _ in range(MAX_CHUNKS):
        at = _next_marker(data, at)
        marker = data[at]
        at += 1
        if marker in _STANDALONE:
            continue
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            if size is None:
                raise _corrupt("no size before the pixels")
            return size
        (length,) = struct.unpack_from(">H", data, at)
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = max(width, size[0] if size else 0), max(height, size[1] if size else 0)
        metadata = _count(metadata + length)
        at += max(2, length)
    raise _too_large(f"more than {MAX_CHUNKS} segments")


def _next_marker(data: bytes, at: int) -> int:
    """The byte that names the next segment; a little between segments is skipped, as decoders do."""
    found = _MARKER.search(data, at, at + MAX_JUNK)
    if found is None:
        raise _corrupt(f"no segment at byte {at}")
    return found.end() - 1


def _check_scans(data: bytes, pixels: int) -> None:
    scans = data.count(b"\xff\xda")  # never among the pixels: an FF there has 00 behind it
    if scans > MAX_SCANS or scans * pixels > MAX_SCANNED:
        raise _too_large(f"{scans} scans of {pixels} pixels")


def _png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise _corrupt("no IHDR at its beginning")
    _walk(data, 8, ">I4s", trailer=4, body_first=False)
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _webp(data: bytes) -> tuple[int, int]:
    _walk(data, 12, "<4sI", trailer=0, body_first=True)
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise _corrupt("no picture at its beginning")


def _walk(data: bytes, at: int, layout: str, *, trailer: int, body_first: bool) -> None:
    """Count chunks, and the bytes of those that hold no pixels. The last may be cut off: decoders find out."""
    metadata = 0
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(data):
            return
        first, second = struct.unpack_from(layout, data, at)
        kind, length = (first, second) if body_first else (second, first)
        if kind not in _PIXEL_CHUNKS:
            metadata = _count(metadata + min(length, len(data) - at))
        if kind == b"IEND":
            return
        at += 8 + length + (trailer or length % 2)
    raise _too_large(f"more than {MAX_CHUNKS} chunks")


def _count(metadata: int) -> int:
    if metadata > MAX_METADATA:
        raise _too_large(f"more than {MAX_METADATA} bytes that are no pixels")
    return metadata


def _too_large(message: str) -> ImageError:
    return ImageError(Reason.IMAGE_TOO_LARGE, message)


def _corrupt(message: str) -> ImageError:
    return ImageError(Reason.IMAGE_CORRUPT, message)
