"""An installation as a rollout sees it: its views, their groups, and the bundles that are known here."""

from __future__ import annotations

import re
from contextlib import ExitStack
from functools import cached_property
from typing import Any, Self

from confluent_kafka.admin import AdminClient

from freshline.settings import Settings
from indexer.collections import view_name
from indexer.rollouts import Standing, standing
from indexer.store import Store
from stream.admin import admin_client
from stream.groups import group_members, group_names, remove_groups

LANES = ("live", "retry", "replay")


class RolloutError(RuntimeError):
    """A step that can't be taken now; the message says why, and what to do."""


class Site:
    """A context manager, which closes what was opened."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._exits = ExitStack()

    @cached_property
    def store(self) -> Store:
        """Of points."""
        store = Store(self.settings.qdrant())
        self._exits.callback(store.close)
        return store

    @cached_property
    def admin(self) -> AdminClient:
        """Of Kafka."""
        return admin_client(self.settings.kafka())

    def standing(self) -> Standing:
        """The views as they stand now."""
        return self.store.run_sync(lambda client: standing(client, self.settings.alias))

    def serving(self) -> str:
        """The view that shoppers see.

        Raises:
            RolloutError: there is none.
        """
        serving = self.standing().serving
        if serving is None:
            raise RolloutError(f"the alias {self.settings.alias!r} names no view yet: run `freshline setup` first")
        return serving

    def building(self) -> str:
        """The one view that is being built.

        Raises:
            RolloutError: there is none, or more than one.
        """
        building = self.standing().building
        if not building:
            raise RolloutError("no view is being built: freshline rollout start BUNDLE")
        if len(building) > 1:
            raise RolloutError(f"more than one view is being built: {', '.join(building)}; abort all but one (--view)")
        return building[0]

    def groups(self, view: str) -> dict[str, str]:
        """The view's consumer groups, by lane."""
        return {lane: self.settings.group(view, lane) for lane in LANES}

    def workers(self, view: str) -> dict[str, int]:
        """How many workers the view has, by lane."""
        groups = self.groups(view)
        found = group_members(self.admin, groups.values())
        return {lane: found[group] for lane, group in groups.items()}

    def forget_groups(self, view: str) -> None:
        """Remove the view's consumer groups, which must be empty."""
        remove_groups(self.admin, self.groups(view).values())

    def next_name(self, space: str) -> str:
        """The name of a new view: no view has its serial number, and no group, which would not begin at zero."""
        alias, prefix = self.settings.alias, self.settings.topic_prefix
        used = re.compile(rf"(?:{re.escape(prefix)})?{re.escape(alias)}-[0-9a-f]{{12}}-(\d+)(?:\.[a-z]+)?")
        names = [*self.standing().views, *group_names(self.admin)]
        serials = [int(match[1]) for name in names if (match := used.fullmatch(name))]
        return view_name(alias, space, max(serials, default=0) + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._exits.close()
