"""Which view serves, which served before it, and which are being built; and the switch between them.

All of it is in Qdrant's aliases, which change together or not at all: a rollout that was cut short anywhere is found
as it stood. The alias `products` names the serving view; while the one before it is kept, for a rollback,
`products-previous` names that.
"""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_client import QdrantClient, models

from indexer.collections import list_views


@dataclass(frozen=True)
class Standing:
    """The views of an alias by what they are."""

    serving: str | None
    previous: str | None
    """Served before, and is fed until it is dropped."""
    building: tuple[str, ...]

    @property
    def views(self) -> list[str]:
        """All of them."""
        return [view for view in (self.serving, self.previous, *self.building) if view is not None]


def previous_alias(alias: str) -> str:
    """The alias of the view that `alias` named before."""
    return f"{alias}-previous"


def standing(client: QdrantClient, alias: str) -> Standing:
    """How the views of `alias` stand now."""
    named = _aliases(client)
    serving, previous = named.get(alias), named.get(previous_alias(alias))
    views = (view.name for view in list_views(client, alias))
    return Standing(serving, previous, tuple(view for view in views if view not in (serving, previous)))


def switch_views(client: QdrantClient, alias: str, *, to: str, keep: str | None) -> None:
    """Make `alias` name `to`, and its `-previous` name `keep` or nothing, in one step for whoever is searching."""
    named = _aliases(client)
    changes: list[models.AliasOperations] = []
    for name, view in ((alias, to), (previous_alias(alias), keep)):
        if name in named:
            changes.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name)))
        if view is not None:
            create = models.CreateAlias(collection_name=view, alias_name=name)
            changes.append(models.CreateAliasOperation(create_alias=create))
    client.update_collection_aliases(change_aliases_operations=changes)


def _aliases(client: QdrantClient) -> dict[str, str]:
    return {entry.alias_name: entry.collection_name for entry in client.get_aliases().aliases}
