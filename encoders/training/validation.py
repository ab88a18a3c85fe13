"""How well a tower finds products: street photos against the catalogue's, as a search does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from encoders.metrics import mean_reciprocal_rank, recall_at
from encoders.pixels import Pixels
from encoders.training.photos import Photo, TableError
from encoders.training.views import decoded
from schemas.bundles import Resize

Encode = Callable[[Pixels], npt.NDArray[np.float32]]

_ROWS = 256


@dataclass(frozen=True)
class Score:
    """Shares of the queries."""

    recall_at_1: float
    recall_at_10: float
    mrr: float


class Validation:
    """Queries, and the catalogue that they are asked of.

    Args:
        queries: street photos.
        catalogue: photos of products, several of one if need be.
        size: height and width of the tower's input.
        resize: how pictures are brought to it.

    Raises:
        TableError: a query's product has no photo in the catalogue, or a picture is none.
    """

    def __init__(self, queries: Sequence[Photo], catalogue: Sequence[Photo], *, size: int, resize: Resize) -> None:
        products = sorted({photo.product for photo in catalogue})
        self._numbers = {product: i for i, product in enumerate(products)}
        if missing := next((query for query in queries if query.product not in self._numbers), None):
            raise TableError(f"{missing.path}: its product {missing.product!r} has no photo to be found")
        catalogue = sorted(catalogue, key=lambda photo: photo.product)
        shown = [self._numbers[photo.product] for photo in catalogue]
        self._starts = np.searchsorted(shown, range(len(products)))
        self._wanted = np.array([self._numbers[query.product] for query in queries])
        self._queries = decoded(queries, size=size, resize=resize)
        self._catalogue = decoded(catalogue, size=size, resize=resize)

    def score(self, encode: Encode) -> Score:
        """Recall@1, Recall@10 and mean reciprocal rank under a tower."""
        ranks = self._ranks(encode(self._queries), encode(self._catalogue))
        return Score(recall_at(1, ranks), recall_at(10, ranks), mean_reciprocal_rank(ranks))

    def _ranks(self, queries: npt.NDArray[np.float32], catalogue: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Each query's rank of its product; a product is as near as the nearest of its photos."""
        ranks = np.empty(len(queries))
        for i in range(0, len(queries), _ROWS):
            likeness = np.maximum.reduceat(queries[i : i + _ROWS] @ catalogue.T, self._starts, axis=1)
            own = np.take_along_axis(likeness, self._wanted[i : i + _ROWS, None], axis=1)
            ranks[i : i + _ROWS] = 1 + (likeness > own).sum(axis=1)
        return ranks
