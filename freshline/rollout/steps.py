"""The steps of a rollout. Each can be repeated: one that was cut short goes on, one that was done changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from encoders.bundle import Bundle
from freshline.rollout.site import RolloutError, Site
from indexer.collections import ensure_view, space_of
from indexer.rollouts import switch_views


@dataclass(frozen=True)
class Step:
    """What a step came to."""

    view: str
    """That it was about."""
    changed: bool
    """False if all of it was done before."""
    serving: str


def start(site: Site, bundle: Bundle) -> Step:
    """Make the view that is to be built; one of this space that is being built already is gone on with.

    Raises:
        RolloutError: another rollout is under way, or nothing serves yet.
    """
    serving, now, space = site.serving(), site.standing(), bundle.manifest.space
    if now.previous is not None:
        raise RolloutError(f"{now.previous} is kept from the last rollout: `finish` that or `rollback` first")
    for view in now.building:
        if space_of(view) != space:
            raise RolloutError(f"{view} is being built: `freshline rollout abort` drops it")
    view = now.building[0] if now.building else site.next_name(space)
    make = partial(
        ensure_view, name=view, dimension=bundle.manifest.dimension, attributes=site.settings.indexed_attributes
    )
    return Step(view, site.store.run_sync(make), serving)


def switch(site: Site, view: str) -> Step:
    """Let shoppers see `view`; the one that they saw is kept, for a rollback."""
    serving = site.serving()
    if serving == view:
        return Step(view, changed=False, serving=view)
    _switch(site, to=view, keep=serving)
    return Step(view, changed=True, serving=view)


def rollback(site: Site) -> Step:
    """Let shoppers see the previous view again; the other one is then being built, as before the switch.

    Raises:
        RolloutError: there is no previous view.
    """
    serving, now = site.serving(), site.standing()
    previous = now.previous
    if previous is None and now.building:  # not switched yet, or rolled back before
        return Step(now.building[0], changed=False, serving=serving)
    if previous is None:
        raise RolloutError("there is nothing to roll back to: no view is kept from before")
    _switch(site, to=previous, keep=None)
    return Step(serving, changed=True, serving=previous)


def finish(site: Site) -> Step:
    """Drop the previous view; there is no way back then.

    Raises:
        RolloutError: workers write to it still.
    """
    serving, previous = site.serving(), site.standing().previous
    if previous is None:
        return Step(serving, changed=False, serving=serving)
    _drop(site, previous)
    return Step(previous, changed=True, serving=serving)


def abort(site: Site, view: str | None) -> Step:
    """Drop a view that is being built, by default the only one.

    Raises:
        RolloutError: there is none such, or workers write to it still.
    """
    serving, building = site.serving(), site.standing().building
    if view is None and not building:
        return Step(serving, changed=False, serving=serving)
    if view is not None and view not in building:
        raise RolloutError(f"{view} is not being built: {', '.join(building) or 'none'} is")
    dropped = view or site.building()
    _drop(site, dropped)
    return Step(dropped, changed=True, serving=serving)


def _switch(site: Site, *, to: str, keep: str | None) -> None:
    site.store.run_sync(partial(switch_views, alias=site.settings.alias, to=to, keep=keep))


def _drop(site: Site, view: str) -> None:
    """The groups first: should this be cut short, the view is still there to be dropped again."""
    busy = {lane: count for lane, count in site.workers(view).items() if count}
    if busy:
        said = ", ".join(f"{count} {lane}" for lane, count in busy.items())
        raise RolloutError(f"workers of {view} are still running ({said}): stop them first")
    site.forget_groups(view)
    site.store.run_sync(lambda client: client.delete_collection(view))
