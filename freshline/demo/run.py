"""The demo from its first line to its last: prepare, open the shop, tell the story, stay, leave nothing behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import uvloop

from encoders.bundle import load_bundle
from freshline.cli.errors import Failure
from freshline.demo.catalogue import Catalogue, CatalogueError
from freshline.demo.drawn import PRODUCTS, cache_folder, draw_catalogue
from freshline.demo.hero import Hero, drawn_hero, own_hero
from freshline.demo.own import read_source
from freshline.demo.screen import Clock, Screen
from freshline.demo.shop import Shop, opened_shop
from freshline.demo.stacks import MOST, STACKS, Stack
from freshline.demo.staging import Staging
from freshline.demo.story import Story
from freshline.interrupts import Interrupted, Interrupts
from freshline.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    stack: str
    catalogue: Path | None
    listener: socket.socket
    """Where the page is to be."""
    stay: bool


class Demo:
    """One run of it.

    Args:
        plan: what was asked for.
        screen: where it is told.
        interrupts: how the user ends it.
    """

    def __init__(self, plan: Plan, screen: Screen, interrupts: Interrupts) -> None:
        self._plan = plan
        self._screen = screen
        self._interrupts = interrupts

    def run(self) -> list[str]:
        """Run it; what was not as it should be.

        Raises:
            CatalogueError, StackError, TopicError, BundleError, EncoderError, ViewError, WorkerFailed: it can't be.
            KeyboardInterrupt, Interrupted: ended by the user before the story was over.
        """
        with ExitStack() as exits:
            folder = Path(exits.enter_context(TemporaryDirectory(prefix="freshline-demo-")))
            exits.callback(self._interrupts.ignore)
            root = folder / "pictures"
            root.mkdir()
            catalogue, hero = self._prepare(root)
            with self._screen.waiting("starting") as report:
                stack = exits.enter_context(STACKS[self._plan.stack](root, report))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(self._open(stack, catalogue, hero))

    def _prepare(self, root: Path) -> tuple[Catalogue, Hero]:
        """What is sold, its pictures below `root`."""
        settings, clock, own = Settings(), Clock(), self._plan.catalogue
        source = read_source(own or self._drawn(root))
        if len(source.rows) > (most := MOST.get(self._plan.stack, len(source.rows))):
            raise CatalogueError(f"{own}: {len(source.rows)} products; beyond {most} it takes --stack local")
        manifest = load_bundle(settings.bundle_path).manifest
        staging = Staging(root, manifest, settings.image_max_bytes)
        with self._screen.bar("reading pictures", len(source.rows)) as report:
            catalogue = staging.catalogue(source, report)
        self._screen.done(f"{len(catalogue.items)} {f'products of {own}' if own else 'products drawn'}", clock.seconds)
        self._screen.left_out(catalogue.left_out)
        return catalogue, own_hero(catalogue) if own else drawn_hero(catalogue, words=manifest.text is not None)

    def _drawn(self, root: Path) -> Path:
        with self._screen.bar("drawing products (the next time they are there)", PRODUCTS) as report:
            return draw_catalogue(cache_folder(otherwise=root.parent), report)

    async def _open(self, stack: Stack, catalogue: Catalogue, hero: Hero) -> list[str]:
        """Open the shop, tell the story, and stay if asked to."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        with ExitStack() as spinner, self._interrupts.calling(lambda: loop.call_soon_threadsafe(ended.set)):
            spinner.enter_context(self._screen.waiting("loading the model"))
            async with opened_shop(stack.settings, self._plan.listener) as shop:
                spinner.close()
                problems = await _unless_ended(Story(shop, catalogue, hero, self._screen).tell(), ended, shop)
                self._screen.verdict(problems, stack.remark)
                if self._plan.stay:
                    self._screen.page(shop.url, _kept(hero, stack))
                    with suppress(Interrupted):
                        await _unless_ended(asyncio.Event().wait(), ended, shop)
                return problems


async def _unless_ended(work: Coroutine[None, None, T], ended: asyncio.Event, shop: Shop) -> T:
    """The work's result, unless the user ends it or a part of the shop ends by itself."""
    task, told = asyncio.create_task(work), asyncio.create_task(ended.wait())
    try:
        await asyncio.wait((task, told, *shop.parts), return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            raise Interrupted
        for part in shop.parts:
            if part.done():
                part.result()
                raise Failure("the search service has ended by itself")
        return task.result()
    finally:
        for each in (task, told):
            each.cancel()
        await asyncio.gather(task, told, return_exceptions=True)


def _kept(hero: Hero, stack: Stack) -> Path:
    """A file with the shopper's photo, to try the page with."""
    assert stack.settings.image_root is not None
    file = stack.settings.image_root.parent / "street-photo.jpg"
    file.write_bytes(hero.street_photo)
    return file
