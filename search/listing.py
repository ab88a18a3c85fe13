"""Listing a product from the page: handed to whoever publishes it, then watched until a search can find it."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from search.body import BodyLimits, read_listing
from search.models import FormListing, Listed
from search.problems import Problem
from search.query import held
from search.searcher import Searcher

# Read from the request itself, within its limit: so it is written down here.
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FormListing.model_json_schema()}}}
}


class Lister(Protocol):
    """Takes a product into the catalogue, as a shop would, on the way that ends in the index."""

    async def list_product(self, picture: bytes, title: str) -> str:
        """The new product's id, once its event is on its way; `picture` is one that can be decoded."""
        ...


class Listings:
    """The routes of listing; without a lister they are answered with 404.

    Args:
        lister: takes the products.
        searcher: judges the pictures and knows the index.
        limits: of a request.
    """

    def __init__(self, lister: Lister | None, searcher: Searcher, limits: BodyLimits) -> None:
        self._lister = lister
        self._searcher = searcher
        self._limits = limits

    def router(self) -> APIRouter:
        """The routes below `/v1/demo/products`."""
        router = APIRouter(prefix="/v1/demo/products")
        router.add_api_route("", self.add, methods=["POST"], status_code=202, openapi_extra=_BODY)
        router.add_api_route("/{product_id:path}", self.state)
        return router

    async def add(self, request: Request, response: Response) -> Listed:
        """List a product: a picture and a title. It can be found a little later."""
        lister = self._require()
        product = await read_listing(request, self._limits)
        await self._searcher.pixels(product.image)
        product_id = await lister.list_product(product.image, product.title)
        response.headers["Location"] = f"/v1/demo/products/{quote(product_id, safe='')}"
        return Listed(product_id=product_id, searchable=False)

    async def state(self, product_id: str) -> Listed:
        """Whether the index holds the product yet. Not yet is no error, unlike at `/v1/products/{product_id}`."""
        self._require()
        _, payload = await self._searcher.view.run(partial(held, product_id=product_id))
        return Listed(product_id=product_id, searchable=payload is not None and not payload.deleted)

    def _require(self) -> Lister:
        if self._lister is None:
            raise Problem(404, "listing-unavailable", "this service lists no products: it was started without a lister")
        return self._lister
