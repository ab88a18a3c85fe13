"""A search service with its page in this process: drawn products, the real encoder, Qdrant's local mode."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from prometheus_client import CollectorRegistry

from encoders.bundle import SHIPPED, load_bundle
from encoders.pixels import decode
from encoders.session import ImageEncoder
from encoders.training.drawing import DrawnProduct, photo, random_product
from freshline.parts import model_of
from indexer.collections import ensure_view, point_alias, view_name
from indexer.points import Point
from indexer.store import LOCAL, QdrantSettings, Store
from indexer.writer import write
from schemas.payloads import EncodedImage, Payload
from search.service import create_app
from search.settings import SearchSettings
from tests.serving import serving

BRANDS = ("Acme", "Globex", "Initech")
CATEGORIES = ("mug", "shoe", "bag", "lamp", "chair", "shirt")


def jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _facts(product: DrawnProduct) -> dict[str, Any]:
    price = 4.9 + product.seed * 37 % 140
    brand = BRANDS[product.seed % len(BRANDS)]
    return {"title": product.title, "category": product.category, "brand": brand, "price": price, "currency": "EUR"}


class DrawnShop:
    """Products of a few categories, and a lister that indexes after `delay` seconds, as a worker would."""

    def __init__(self, folder: Path, *, products: int, delay: float = 1.0) -> None:
        self._folder = folder
        self._delay = delay
        self._encoder = ImageEncoder(load_bundle(SHIPPED), threads=1)
        self._view = view_name("products", self._encoder.space, 1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.store = Store(QdrantSettings(url=LOCAL))
        self.store.run_sync(lambda client: ensure_view(client, self._view, self._encoder.dimension, []))
        self.store.run_sync(lambda client: point_alias(client, "products", self._view))
        self.drawn = {f"{CATEGORIES[n % 6]}/{n}": random_product(500 + n, CATEGORIES[n % 6]) for n in range(products)}
        now = datetime.now(UTC)
        for number, (product_id, product) in enumerate(self.drawn.items()):
            listed = now - timedelta(minutes=1 + 7 * number**1.5)
            waited = timedelta(milliseconds=640 + 137 * (number * 7 % 11))
            self._put(product_id, jpeg(photo(product)), listed, listed + waited, **_facts(product))

    async def list_product(self, picture: bytes, title: str) -> str:
        product_id = f"new/{len(self._tasks)}"
        task = asyncio.create_task(self._index_later(product_id, picture, title, datetime.now(UTC)))
        self._tasks.add(task)
        return product_id

    async def _index_later(self, product_id: str, picture: bytes, title: str, listed: datetime) -> None:
        await asyncio.sleep(self._delay)
        await asyncio.to_thread(self._put, product_id, picture, listed, title=title)

    def _put(
        self, product_id: str, picture: bytes, listed: datetime, indexed: datetime | None = None, **facts: Any
    ) -> None:
        path = self._folder / f"{product_id.replace('/', '-')}.jpg"
        path.write_bytes(picture)
        pixels = decode(picture, size=self._encoder.size, resize=self._encoder.resize)
        vectors = self._encoder.encode(np.stack([pixels])).tolist()
        payload = Payload(
            product_id=product_id,
            version=1,
            revision=1,
            event_id="e",
            occurred_at=listed,
            indexed_at=indexed or datetime.now(UTC),
            image_urls=[path.as_uri()],
            encoded_images=[EncodedImage(url=path.as_uri(), digest="sha256:0")],
            **facts,
        )
        self.store.run_sync(lambda client: write(client, self._view, [Point(payload, vectors, 0)]))

    def brands(self) -> Counter[str]:
        """How many products are of each."""
        return Counter(BRANDS[product.seed % len(BRANDS)] for product in self.drawn.values())

    @contextmanager
    def serving(self, keys: Path | None = None) -> Iterator[str]:
        """The service on a free port, with its page, for whoever has one of the keys; its URL."""
        app = create_app(
            store=self.store,
            model=model_of(self._encoder),
            settings=SearchSettings(image_root=self._folder, keys=keys),
            registry=CollectorRegistry(),
            lister=self,
        )
        with serving(app) as url:
            yield url

    def close(self) -> None:
        self.store.close()
