"""Shoppers who search all the time for products that never change, and know what they must find."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from indexer.collections import space_of
from tests.chaos.scale import at
from tests.harness import eventually

THREADS = 3
PAUSE_SECONDS = at(0.02, 0.0)
"""Between two searches of a thread: without one they take every core, from the tests beside them too."""
SURE = 0.9999


class Shoppers:
    """Each answer must be there, of one view and its own bundle, and begin with the product that was photographed.

    Args:
        url: of the search service.
        pictures: by product, its picture, to which no other product comes as near.
        bundles: by space, the bundle that must answer for it.
    """

    def __init__(self, url: str, pictures: Mapping[str, bytes], bundles: Mapping[str, str]) -> None:
        self._url = url
        self._pictures = pictures
        self._bundles = bundles
        self._stop = threading.Event()
        self.answers: Counter[str] = Counter()
        """By the view that gave them."""
        self.wrong: list[str] = []

    @contextmanager
    def searching(self) -> Iterator[None]:
        """They do so for as long as the context lasts."""
        threads = [threading.Thread(target=self._search, args=[number]) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def await_view(self, view: str) -> None:
        """Return once every answer that begins from now on may be taken to be this view's."""
        before = self.answers[view]
        eventually(lambda: self.answers[view] > before + THREADS, what=f"answers from {view}")

    def product(self, product_id: str) -> dict[str, Any] | None:
        """What the service holds for a product."""
        try:
            with urllib.request.urlopen(f"{self._url}/v1/products/{quote(product_id)}", timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def _search(self, number: int) -> None:
        for product, picture in itertools.islice(itertools.cycle(self._pictures.items()), number, None):
            if self._stop.wait(PAUSE_SECONDS):
                return
            try:
                self._judge(product, self._ask(picture))
            except (OSError, ValueError, LookupError) as error:
                self.wrong.append(f"{product}: {error!r}")

    def _ask(self, picture: bytes) -> dict[str, Any]:
        body = json.dumps({"image_base64": base64.b64encode(picture).decode(), "limit": 3}).encode()
        request = urllib.request.Request(
            f"{self._url}/v1/search", body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def _judge(self, product: str, answer: Mapping[str, Any]) -> None:
        view, bundle, first = answer["view"], answer["bundle"], answer["results"][0]
        self.answers[view] += 1
        if bundle != self._bundles[space_of(view)]:
            self.wrong.append(f"{product}: {bundle} answered for {view}")
        if first["product_id"] != product or first["score"] < SURE:
            self.wrong.append(f"{product}: found {first['product_id']} ({first['score']:.5f}) in {view}")
