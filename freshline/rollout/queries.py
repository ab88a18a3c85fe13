"""Queries for those who have no labelled pairs: products of the serving view, asked for by their own first picture."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qdrant_client import QdrantClient, models

from freshline.evaluation.pictures import fetching
from freshline.rollout.site import RolloutError, Site
from search.filters import only_live
from search.labelled import Query

_LEAST = 0.5
"""The share of the pictures that must be had: fewer would say little about the others."""


async def own_pictures(site: Site, view: str, most: int, folder: Path) -> list[Query]:
    """Up to `most` products at random, each with the picture that is to find it, which is written into `folder`.

    Raises:
        RolloutError: the view has no products, or most of the pictures can't be had.
    """
    products = await site.store.run(partial(_some, view=view, most=most))
    if not products:
        raise RolloutError(f"{view} holds no products to ask for")
    async with fetching(site.settings, everywhere=False) as fetch:
        turns = asyncio.Semaphore(16)

        async def query(number: int, product: dict[str, str]) -> Query | None:
            async with turns:
                picture = await fetch(product["url"])
            if picture is None:
                return None
            path = folder / str(number)
            path.write_bytes(picture)
            return Query(product["url"], path, None, (product["product_id"],))

        found = await asyncio.gather(*(query(number, product) for number, product in enumerate(products)))
    queries = [each for each in found if each is not None]
    if len(queries) < _LEAST * len(products):
        raise RolloutError(f"only {len(queries)} of {len(products)} pictures can be had: give labelled pairs instead")
    return queries


def _some(client: QdrantClient, view: str, most: int) -> Sequence[dict[str, str]]:
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    points = client.query_points(
        view, query=sample, limit=most, query_filter=only_live(), with_payload=["product_id", "encoded_images"]
    ).points
    payloads = [point.payload for point in points if point.payload and point.payload["encoded_images"]]
    return [{"product_id": each["product_id"], "url": each["encoded_images"][0]["url"]} for each in payloads]
