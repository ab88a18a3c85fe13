"""From a catalogue's rows to products whose pictures the worker may read: checked, and copied below the image root."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from encoders.pixels import ImageError, decode
from encoders.session import available_cores
from freshline.demo.catalogue import Catalogue, CatalogueError, Item
from freshline.demo.own import Row, Source
from schemas.bundles import Manifest
from schemas.events import Product, describe

MAX_ID = 256  # of the contract's product_id


class _Unusable(ValueError):
    """Which field of a row is wrong, and why."""


@dataclass(frozen=True)
class Staging:
    """Where pictures go, and which are accepted: those that the worker will accept."""

    root: Path
    manifest: Manifest
    max_bytes: int

    def catalogue(self, source: Source, report: Callable[[int], None]) -> Catalogue:
        """All rows that can be used; the others are named.

        Raises:
            CatalogueError: none can.
        """
        catalogue = Catalogue()
        pool = ThreadPoolExecutor(available_cores(), thread_name_prefix="stage")
        try:
            items = pool.map(lambda numbered: self._item(source.folder, *numbered), enumerate(source.rows))
            for done, (row, item) in enumerate(zip(source.rows, items, strict=True), start=1):
                if isinstance(item, Item):
                    catalogue.items[row.image] = item
                else:
                    catalogue.left_out.append(f"{row.where}: {item}")
                report(done)
        finally:
            pool.shutdown(cancel_futures=True)
        if not catalogue.items:
            raise CatalogueError("\n".join([f"{source.folder}: no product can be used", *catalogue.left_out[:5]]))
        return catalogue

    def _item(self, folder: Path, number: int, row: Row) -> Item | str:
        """The product, or what is wrong with its row."""
        if row.problem:
            return row.problem
        if len(row.image) > MAX_ID:
            return f"image: longer than {MAX_ID} characters, and it is the product's id"
        if Path(row.image).is_absolute() or ".." in Path(row.image).parts:
            return f"image: {row.image}: not a path below the catalogue's folder"
        copy = self.root / f"{number:06}{Path(row.image).suffix.lower()}"
        try:
            picture = self._picture(folder / row.image)
            digest = f"sha256:{hashlib.sha256(picture).hexdigest()}"
            images = [{"url": copy.as_uri(), "digest": digest}]
            product = Product.model_validate(row.facts | {"images": images})
            copy.write_bytes(picture)
        except _Unusable as problem:
            return f"image: {row.image}: {problem}"
        except ValidationError as error:
            return describe(error)
        return Item(product, copy)

    def _picture(self, file: Path) -> bytes:
        """The picture's bytes.

        Raises:
            _Unusable: there is none that the worker would take.
        """
        try:
            if not file.is_file():
                raise _Unusable("no such file")
            if file.stat().st_size > self.max_bytes:
                raise _Unusable(f"more than {self.max_bytes} bytes (FRESHLINE_IMAGE_MAX_BYTES)")
            picture = file.read_bytes()
            decode(picture, size=self.manifest.input_size, resize=self.manifest.resize)
        except OSError as error:
            raise _Unusable(error.strerror) from error
        except ImageError as error:
            raise _Unusable(str(error)) from error
        return picture
