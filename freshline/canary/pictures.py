"""The canary's picture: like none before it, and where workers fetch it from.

Each round's picture has a URL of its own, and they all lie in one place, so that an old event that comes again
(replayed, or read by a new view) still finds a picture, and is not given up on.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from freshline.settings import Settings

NAME = "canary.jpg"
FOLDER = ".freshline-canary"
_SIDE = 224
_BLOBS = 12


class CanaryError(RuntimeError):
    """A canary that can't be as the settings want it; the message names the setting."""


def draw() -> bytes:
    """A JPEG of ellipses in random places and colours, drawn from the system's randomness."""
    random = np.random.default_rng()
    rows, columns = np.mgrid[0:_SIDE, 0:_SIDE]
    canvas = np.empty((_SIDE, _SIDE, 3), np.uint8)
    canvas[:] = random.integers(0, 256, 3)
    for row, column, height, width in random.uniform((0, 0, 10, 10), (_SIDE, _SIDE, 60, 60), (_BLOBS, 4)):
        inside = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 < 1
        canvas[inside] = random.integers(0, 256, 3)
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


class Place(Protocol):
    """Holds the picture of the last round."""

    def put(self, picture: bytes, version: int) -> str:
        """Take a round's picture; its URL. Blocks.

        Raises:
            OSError: it can't be written.
        """
        ...

    def image(self, name: str) -> bytes | None:
        """What the monitor answers below `/canary/`; None: no such picture."""
        ...


class Folder:
    """A folder that workers read `file:///` pictures from."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    def put(self, picture: bytes, version: int) -> str:
        """Write it in one step, so that nobody ever reads half of it."""
        self._path.mkdir(parents=True, exist_ok=True)
        file = self._path / NAME
        fresh = file.with_suffix(".new")
        fresh.write_bytes(picture)
        fresh.replace(file)
        return f"{file.as_uri()}?{version}"

    def image(self, name: str) -> bytes | None:
        """Nothing: workers read the file."""
        return None


class Served:
    """The monitor itself, as workers reach it at `base`."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")
        self._picture = draw()  # an event of before a restart may ask

    def put(self, picture: bytes, version: int) -> str:
        """Keep it."""
        self._picture = picture
        return f"{self._base}/canary/{NAME}?{version}"

    def image(self, name: str) -> bytes | None:
        """The last picture."""
        return self._picture if name == NAME else None


def place_of(settings: Settings) -> Place | None:
    """Where the settings have the picture; None where they name no place.

    Raises:
        CanaryError: the folder is outside the image root, where no worker reads it.
    """
    root, asked = settings.image_root, settings.canary_images
    if asked is None:
        return Folder(root / FOLDER) if root else None
    if not asked.startswith("file:///"):
        return Served(asked)
    folder = Path(unquote(urlsplit(asked).path))
    if root is not None and not folder.resolve().is_relative_to(root.resolve()):
        raise CanaryError(f"FRESHLINE_CANARY_IMAGES: {folder} is not below FRESHLINE_IMAGE_ROOT, {root}")
    return Folder(folder)
