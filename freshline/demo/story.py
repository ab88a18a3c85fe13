"""The story: a catalogue becomes searchable, a shopper finds a product by photo and words, its price falls, it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from freshline.cli.errors import Failure
from freshline.client import Client, SearchError
from freshline.demo.catalogue import Catalogue, change, cheaper
from freshline.demo.hero import Hero
from freshline.demo.ledger import PATIENCE_SECONDS
from freshline.demo.letters import read_dead_letters
from freshline.demo.screen import Clock, Screen, price
from freshline.demo.shop import Shop
from schemas.events import Event
from search.models import Hit

_SHOWN = 3
_NAMED = 5


class Story:
    """Tells it once.

    Args:
        shop: where it happens.
        catalogue: what the shop sells.
        hero: the product that it is about.
        screen: where it is told.
    """

    def __init__(self, shop: Shop, catalogue: Catalogue, hero: Hero, screen: Screen) -> None:
        self._shop = shop
        self._catalogue = catalogue
        self._hero = hero
        self._screen = screen
        self._published = 0
        self._problems: list[str] = []

    async def tell(self) -> list[str]:
        """All of it; what was not as it should be."""
        await self._joined()
        try:
            await self._list_everything()
            await self._street_photo()
            if self._hero.words:
                await self._words(self._hero.words)
            await self._own_picture()
            await self._price_update()
            await self._withdrawal()
            await self._return()
        except TimeoutError:
            done = self._shop.ledger.outcomes.total()
            self._problems.append(
                f"{done} of {self._published} events were settled, then none for {PATIENCE_SECONDS} s"
            )
        await self._account()
        return self._problems

    async def _joined(self) -> None:
        try:
            with self._screen.waiting("the worker joins its consumer group"):
                await asyncio.wait_for(self._shop.worker.assigned(), PATIENCE_SECONDS)
        except TimeoutError:
            raise Failure(f"the worker was given no partitions within {PATIENCE_SECONDS} s") from None

    async def _list_everything(self) -> None:
        total, clock = len(self._catalogue.items), Clock()
        with self._screen.bar("publishing created events", total) as report:
            await asyncio.to_thread(self._publish_all, report)
        self._screen.done(f"{total} created events published to {self._shop.settings.topics.events}", clock.seconds)
        clock = Clock()
        with self._screen.bar("fetching, decoding, encoding, writing", total) as report:
            await self._shop.ledger.until(self._published, report)
        found = self._shop.ledger.outcomes["indexed"]
        self._screen.done(f"{found} products fetched, encoded and searchable", clock.seconds)
        self._expect(found == total, f"{found} products were indexed, not {total}")

    def _publish_all(self, report: Callable[[int], None]) -> None:
        delivered = 0

        def on_delivery() -> None:
            nonlocal delivered
            delivered += 1
            report(delivered)

        for product_id, item in self._catalogue.items.items():
            self._shop.publisher.publish(change("created", product_id, item.product), on_delivery=on_delivery)
        self._shop.publisher.flush()
        self._published += delivered

    async def _street_photo(self) -> None:
        self._screen.chapter(f"A shopper's photo of “{self._hero.title}”", "POST /v1/search")
        hits = await self._search(self._hero.street_photo)
        self._expect(self._is_first(hits), f"the shopper's photo did not find {self._hero.product_id} first")

    async def _words(self, words: str) -> None:
        self._screen.chapter(f"In words: “{words}”")
        hits = await self._ask(text=words)
        self._screen.hits(hits, self._hero.product_id)
        self._expect(any(map(self._is_hero, hits)), f"the words “{words}” did not find {self._hero.product_id}")

    async def _own_picture(self) -> None:
        self._screen.chapter("The shop's own picture of it")
        hits = await self._search(self._hero.own_picture)
        self._expect(self._is_first(hits), f"its own picture did not find {self._hero.product_id} first")

    async def _price_update(self) -> None:
        product = cheaper(self._hero.item.product)
        seconds = await self._changed(change("updated", self._hero.product_id, product))
        now = next((hit for hit in await self._ask(self._hero.own_picture) if self._is_hero(hit)), None)
        self._screen.chapter("Its price changes", "an updated event: nothing is encoded again")
        self._screen.line(f"  now {price(now) if now else 'not found'}, searchable {seconds:.2f} s later")
        self._expect(
            now is not None and now.price == float(product.price or 0),
            f"the new price {product.price} of {self._hero.product_id} is not in the index",
        )
        kept = self._shop.ledger.outcomes["payload_only"]
        self._expect(kept == 1, f"a change of price was not written as payload only: {kept} such events, not 1")

    async def _withdrawal(self) -> None:
        seconds = await self._changed(change("deleted", self._hero.product_id))
        self._screen.chapter("It is sold out", f"a deleted event: gone {seconds:.2f} s later; what is nearest now:")
        hits = await self._search(self._hero.own_picture)
        self._expect(not any(map(self._is_hero, hits)), f"{self._hero.product_id} was deleted and is still found")

    async def _return(self) -> None:
        seconds = await self._changed(change("created", self._hero.product_id, self._hero.item.product))
        back = self._is_first(await self._ask(self._hero.street_photo))
        if back:
            self._screen.chapter(
                "It is back", f"a created event: the shopper's photo finds it first {seconds:.2f} s later"
            )
        self._expect(back, f"{self._hero.product_id} was listed again, but the shopper's photo does not find it first")

    async def _account(self) -> None:
        """How fresh it all was, and whether anything was given up."""
        ledger = self._shop.ledger
        if ledger.freshness:
            self._screen.chapter("Freshness", f"from occurred_at to searchable, all {len(ledger.freshness)} events")
            self._screen.line(f"  p50 {ledger.percentile(50):.2f} s   p99 {ledger.percentile(99):.2f} s", "bold")
        if ledger.outcomes["dead_lettered"]:
            settings = self._shop.settings
            letters = await asyncio.to_thread(read_dead_letters, settings.kafka(), settings.topics.dead_letters)
            self._problems += [f"dead letter: {each.product_id}: {each.message}" for each in letters[:_NAMED]]
            if len(letters) > _NAMED:
                self._problems.append(f"and {len(letters) - _NAMED} more dead letters")

    async def _changed(self, event: Event) -> float:
        """Publish one event; the seconds until it is in the index."""
        clock = Clock()
        self._shop.publisher.publish(event)
        await asyncio.to_thread(self._shop.publisher.flush)
        self._published += 1
        with self._screen.waiting(f"{event.type}: on its way"):
            await self._shop.ledger.until(self._published)
        return clock.seconds

    async def _search(self, picture: bytes) -> list[Hit]:
        hits = await self._ask(picture)
        self._screen.hits(hits, self._hero.product_id)
        return hits

    async def _ask(self, picture: bytes | None = None, text: str | None = None) -> list[Hit]:
        def asked() -> list[Hit]:
            with Client(self._shop.url) as client:
                return client.search(picture, text, limit=_SHOWN).results

        try:
            return await asyncio.to_thread(asked)
        except SearchError as error:
            raise Failure(str(error)) from error

    def _is_hero(self, hit: Hit) -> bool:
        return hit.product_id == self._hero.product_id

    def _is_first(self, hits: list[Hit]) -> bool:
        return bool(hits) and self._is_hero(hits[0])

    def _expect(self, true: bool, otherwise: str) -> None:
        if not true:
            self._problems.append(otherwise)
