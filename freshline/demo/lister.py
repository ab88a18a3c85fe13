"""Listing a product from the page: as a shop does it, with a picture of its own and an event."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from pathlib import Path

from freshline.demo.catalogue import change
from schemas.events import Image, Product
from stream.publisher import Publisher


@dataclass(frozen=True)
class PublishingLister:
    """Saves the picture below the image root and publishes that the product was created."""

    publisher: Publisher
    root: Path

    async def list_product(self, picture: bytes, title: str) -> str:
        """The new product's id, once the broker has its event."""
        product_id = f"listed-{uuid.uuid4().hex[:8]}"
        file = self.root / product_id
        await asyncio.to_thread(file.write_bytes, picture)
        product = Product(title=title, images=[Image(url=file.as_uri())])
        self.publisher.publish(change("created", product_id, product))
        await asyncio.to_thread(self.publisher.flush)
        return product_id
