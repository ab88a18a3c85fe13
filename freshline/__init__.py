"""Streaming near-real-time indexing for visual product search.

The public API: `Event` and its parts, and `Publisher`. Light: the heavy parts are extras.
"""

from schemas.events import Event, Image, InvalidEvent, Product
from stream.publisher import Publisher, PublisherSettings

__version__ = "0.1.0"

__all__ = ["Event", "Image", "InvalidEvent", "Product", "Publisher", "PublisherSettings", "__version__"]
