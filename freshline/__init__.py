"""Streaming near-real-time indexing for visual product search.

The public API: `Event` and its parts, `Publisher`, and `Client` (extra `client`). Light: the heavy parts are extras.
"""

from typing import TYPE_CHECKING, Any

from schemas.events import Event, Image, InvalidEvent, Product
from stream.publisher import Publisher, PublisherSettings

if TYPE_CHECKING:
    from freshline.client import Client, SearchError

__version__ = "0.1.0"

__all__ = [
    "Client",
    "Event",
    "Image",
    "InvalidEvent",
    "Product",
    "Publisher",
    "PublisherSettings",
    "SearchError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """The client when it is first asked for: catalogue services, which only publish, need no HTTP."""
    if name in {"Client", "SearchError"}:
        from freshline import client  # noqa: PLC0415

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
