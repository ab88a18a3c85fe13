"""What the search service can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SearchSettings:
    """Which view is searched, and the limits of one request."""

    alias: str = "products"
    view: str | None = None
    """A collection to stay on; otherwise the one that `alias` names is followed."""
    refresh_seconds: float = 5.0
    """How often the alias is looked up."""
    max_image_bytes: int = 20_000_000
    decode_threads: int = 2
    encode_batch: int = 16
    encode_wait_seconds: float = 0.002
    """How long the first query of a batch waits for others."""
    # The graph's own default finds too few of the true neighbours among multivectors.
    hnsw_ef: int = 512
    image_root: Path | None = None
    """Pictures of products that are `file:///` below this folder are served, and no others."""
