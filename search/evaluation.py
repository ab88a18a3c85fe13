"""Labelled queries asked of a view, by the very code that answers shoppers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError
from qdrant_client import QdrantClient

from encoders.metrics import Comparison, Quality, compare, first_rank, quality
from schemas.events import describe
from schemas.payloads import point_id
from search.labelled import Query
from search.models import Hit, SearchRequest
from search.problems import Problem
from search.searcher import Searcher

DEPTH = 100
"""Products that are looked at for each query: one that is further down counts as not found."""
_SHOWN = 10
_AT_ONCE = 32
_LOOKED_UP = 1000


class EvaluationError(RuntimeError):
    """A query could not be answered, so there is nothing to compare; the message names it."""


@dataclass(frozen=True)
class Held:
    """A product that the view holds, so that a search can find it."""

    title: str | None
    category: str | None
    image_urls: list[str]


@dataclass(frozen=True)
class Answer:
    """What one query came to."""

    query: Query
    hits: list[Hit]
    """The first ten."""
    rank: float
    """Of the first relevant product, from 1; infinity where it is not among the first hundred."""
    wanted: Held | None
    """The first of the query's products that the view holds: if it holds none, it could not be found."""

    @property
    def category(self) -> str | None:
        """The query's, or that of the product."""
        return self.query.category or (self.wanted.category if self.wanted else None)


@dataclass(frozen=True)
class Evaluation:
    """What all queries came to with one bundle on one view."""

    bundle: str
    view: str
    answers: list[Answer]

    @property
    def ranks(self) -> list[float]:
        """In the order of the queries."""
        return [answer.rank for answer in self.answers]

    @property
    def absent(self) -> int:
        """Queries whose products the view does not hold."""
        return sum(answer.wanted is None for answer in self.answers)

    def overall(self) -> Quality:
        """Of all queries."""
        return quality(self.ranks)

    def by_category(self) -> dict[str, Quality]:
        """The same for each category, the one with the most queries first; empty where no query has one."""
        names = [answer.category for answer in self.answers]
        if not any(names):
            return {}
        ranks: dict[str, list[float]] = {}
        for name, rank in zip(names, self.ranks, strict=True):
            ranks.setdefault(name or "(none)", []).append(rank)
        return {name: quality(ranks[name]) for name in sorted(ranks, key=lambda name: (-len(ranks[name]), name))}

    def against(self, other: Evaluation) -> Comparison:
        """This beside another evaluation of the same queries."""
        return compare(self.ranks, other.ranks)


async def evaluate(
    searcher: Searcher, queries: Sequence[Query], *, done: Callable[[int], None] = lambda _: None
) -> Evaluation:
    """Ask every query.

    Args:
        searcher: running.
        queries: at least one.
        done: called with 1 for each answer.

    Raises:
        EvaluationError: a picture that can't be decoded, words for a bundle without a text tower, no view to ask.
    """
    products = sorted({product for query in queries for product in query.products})
    try:
        view, held = await searcher.view.run(partial(_held, product_ids=products))
    except Problem as problem:
        raise EvaluationError(str(problem)) from problem
    turns = asyncio.Semaphore(_AT_ONCE)

    async def answer(query: Query) -> Answer:
        async with turns:
            hits = await ask(searcher, query)
        done(1)
        rank = first_rank([hit.product_id for hit in hits], query.products)
        return Answer(query, hits[:_SHOWN], rank, next((held[each] for each in query.products if each in held), None))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(query)) for query in queries]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the others only failed with it
    return Evaluation(searcher.bundle, view, [task.result() for task in tasks])


async def ask(searcher: Searcher, query: Query) -> list[Hit]:
    """What a query finds, the first hundred.

    Raises:
        EvaluationError: it can't be answered; naming it.
    """
    image = await asyncio.to_thread(query.image.read_bytes) if query.image else None
    try:
        answer = await searcher.search(SearchRequest(text=query.text, image=image, limit=DEPTH))
    except ValidationError as error:
        raise EvaluationError(f"{query.name}: {describe(error)}") from error
    except Problem as problem:
        raise EvaluationError(f"{query.name}: {problem}") from problem
    return answer.results


def _held(client: QdrantClient, view: str, product_ids: Sequence[str]) -> dict[str, Held]:
    """What the view holds of these products, without those that it holds as deleted."""
    found: dict[str, Held] = {}
    fields = ["product_id", "title", "category", "image_urls", "deleted"]
    for start in range(0, len(product_ids), _LOOKED_UP):
        ids = [point_id(product_id) for product_id in product_ids[start : start + _LOOKED_UP]]
        for record in client.retrieve(view, ids, with_payload=fields):
            payload = record.payload or {}
            if not payload["deleted"]:
                held = Held(payload["title"], payload["category"], payload["image_urls"])
                found[payload["product_id"]] = held
    return found
