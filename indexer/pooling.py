"""One vector for a product of several pictures: what the index is searched by before the pictures themselves are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LEAST = 1e-3
"""Of a mean's length: below, the rows point nowhere together, and the first speaks for the product."""


def pooled(rows: Sequence[Sequence[float]] | npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The mean of rows of shape (n, dimension), n >= 1, L2-normalised: float32 (dimension,)."""
    stacked = np.asarray(rows, dtype=np.float32)
    mean = stacked.mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < LEAST:
        mean, length = stacked[0], float(np.linalg.norm(stacked[0]))
    return np.asarray(mean / max(length, 1e-12), dtype=np.float32)
