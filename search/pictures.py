"""A product's own picture from the image root, for browsers, which can't load `file:///` themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from schemas.payloads import Payload

HEADERS = {
    # The page asks with the product's version in the query, so a new picture has a new address.
    "Cache-Control": "public, max-age=3600",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer that is a picture: nothing but a picture, whatever its bytes could also be read as."""


@dataclass(frozen=True)
class Picture:
    """A picture's bytes, and what they are by their own first bytes."""

    data: bytes
    media_type: str


def first_picture(product: Payload, root: Path | None, max_bytes: int) -> Picture | None:
    """The product's first picture, or None where it is anything but a JPEG, PNG or WebP file below `root`."""
    url = next(iter(product.image_urls), "")
    if root is None or not url.startswith("file:///"):
        return None
    try:
        path = Path(unquote(urlsplit(url).path)).resolve()  # links are followed before they are judged
        if not path.is_relative_to(root.resolve()) or not path.is_file() or path.stat().st_size > max_bytes:
            return None
        data = path.read_bytes()
    except (OSError, ValueError, RuntimeError):  # also a NUL in the path, links in a ring
        return None
    media_type = _media_type(data)
    return Picture(data, media_type) if media_type else None


def _media_type(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else None
