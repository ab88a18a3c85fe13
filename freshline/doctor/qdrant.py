"""Qdrant: whether it answers, and whether the view is as it must be."""

from __future__ import annotations

from qdrant_client import models

from freshline.doctor.findings import Finding, failed, ok, together, warning
from freshline.doctor.site import Site
from indexer.collections import ViewError, serving_view, view_problems
from indexer.store import is_outage

OLDEST = (1, 16)
"""Older servers pass over the guard of a write."""


def qdrant(site: Site) -> Finding:
    """A server answers that is new enough."""
    where = site.settings.qdrant_url
    try:
        version = site.store.run_sync(lambda client: client.info().version)
        site.store.run_sync(lambda client: client.get_aliases())  # by gRPC, as workers speak
    except Exception as error:
        if not is_outage(error):
            raise
        port = site.settings.qdrant_grpc_port
        advice = "start it, or correct FRESHLINE_QDRANT_URL, FRESHLINE_QDRANT_GRPC_PORT"
        return failed(f"{where} (gRPC: port {port}) can't be reached", advice)
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return failed(f"{where} is of version {version}: guarded writes need 1.16", "upgrade Qdrant")
    return ok(f"version {version} at {where}")


def view(site: Site) -> Finding:
    """There is a view of the bundle's space, and it is known whether shoppers see it."""
    try:
        name = site.view
    except ViewError as error:
        return failed(str(error), "run `freshline setup`, or correct FRESHLINE_VIEW, FRESHLINE_ALIAS, FRESHLINE_BUNDLE")
    alias = site.settings.alias
    serving = site.store.run_sync(lambda client: serving_view(client, alias))
    if serving is None:
        return warning(
            f"{name}; the alias {alias!r} names no collection: nothing can be searched", "run `freshline setup`"
        )
    return ok(f"{name}, serving" if serving == name else f"{name}, building; {alias!r} serves {serving}")


def collection(site: Site) -> Finding:
    """Its vectors and payload indexes are those that `setup` makes, and Qdrant is content with it."""
    name, dimension, attributes = site.view, site.bundle.manifest.dimension, site.settings.indexed_attributes
    problems = site.store.run_sync(lambda client: view_problems(client, name, dimension, attributes))
    found = [failed(problem, _advice(problem)) for problem in problems]
    info = site.store.run_sync(lambda client: client.get_collection(name))
    if info.status is models.CollectionStatus.RED:
        found.append(failed(f"its status is red: {info.optimizer_status}", "look at Qdrant's log: disk full?"))
    elif info.status is models.CollectionStatus.GREY:
        found.append(warning("its status is grey: optimisation waits since a restart", "any write to it starts that"))
    return together(found, f"{info.points_count} points, {info.status.value}")


def _advice(problem: str) -> str:
    if problem.startswith("the payload index"):
        return "run `freshline setup`, which adds missing indexes"
    return "this can't be changed: build a new view"
