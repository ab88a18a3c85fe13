"""Which view shoppers see, asked again and again: the alias may be switched while a worker runs."""

from __future__ import annotations

import asyncio

import structlog

from indexer.collections import serving_view
from indexer.store import Store

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 2.0


class Serving:
    """The collection that an alias names, as it was a few seconds ago; the last answer stays while Qdrant is away."""

    def __init__(self, store: Store, alias: str) -> None:
        self._store = store
        self._alias = alias
        self.view: str | None = None
        """None while there is none."""

    async def ask(self) -> None:
        """Take note of the present answer; raises what Qdrant's client raises."""
        found = await self._store.run(lambda client: serving_view(client, self._alias))
        if found != self.view:
            log.info("serving", alias=self._alias, view=found, before=self.view)
        self.view = found

    async def run(self) -> None:
        """Ask every few seconds until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self.ask()
            except Exception as error:  # whoever writes to Qdrant says that it is away, and holds
                log.debug("serving view not known, the last answer stays", view=self.view, error=repr(error))
