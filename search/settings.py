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
    hnsw_ef: int = 128
    """Of the graph's search: more finds more of the true neighbours among the products that meet a filter, and takes
    longer (`freshline bench search`)."""
    most_searches: int = 8
    """At work at once; further ones wait."""
    patience_seconds: float = 0.06
    """How long, before they are refused."""
    upload_seconds: float = 10.0
    """How long a request's body may take to arrive."""
    keys: Path | None = None
    """The file of API keys; without one everybody may ask."""
    rate: str | None = None
    """How often each key may, unless it has its own rate: `100/second`."""
    cors_origins: tuple[str, ...] = ()
    """Whose pages in browsers may ask: `https://shop.example`, or `*`."""
    image_root: Path | None = None
    """Pictures of products that are `file:///` below this folder are served, and no others."""
