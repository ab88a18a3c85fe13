"""A replay from its settings and options: plans, feeds, and who is asked what became of the events."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import islice

from freshline.redriving import RedriveReport, chosen_letters
from freshline.settings import Settings
from indexer.collections import serving_view
from indexer.store import Store
from stream.letterbox import Filed, Letterbox, Unreadable
from stream.reconcile.ledger import Ledger
from stream.reconcile.reading import TopicReader
from stream.reconcile.repair import clear, count, differing
from stream.reconcile.run import Reconciliation, Scope
from stream.redrive import Redrivable, Redriver
from stream.replaying.cursor import Cursor, Memo, ReplayError
from stream.replaying.feeds import BATCH, Feed, LetterFeed, ListFeed, LogFeed, Outgoing, outgoing
from stream.replaying.outside import Lane, News, look
from stream.replaying.plan import Plan, plan_list, plan_log, resolve
from stream.replaying.run import Outside, Pace, Replay
from stream.replaying.selection import Selection
from stream.replaying.tally import Counts, Look
from stream.resend import Resender

Advance = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and of how much."""


@dataclass
class Site:
    """What a replay works with; a context closes what was opened."""

    settings: Settings
    force: bool = False
    all_views: bool = False
    advance: Advance = lambda *_: None
    say: Callable[[str | None], None] = lambda _: None
    exits: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def store(self) -> Store:
        """Of points."""
        store = Store(self.settings.qdrant())
        self.exits.callback(store.close)
        return store

    @cached_property
    def view(self) -> str:
        """The collection whose workers are waited for."""
        settings = self.settings
        view = settings.view or self.store.run_sync(partial(serving_view, alias=settings.alias))
        if view is None or not self.store.run_sync(lambda client: client.collection_exists(view)):
            raise ReplayError(f"no view {view or settings.alias!r}: run `freshline setup` first")
        return view

    @property
    def meant(self) -> str | None:
        """The view that the events are sent for; None for all."""
        return None if self.all_views else self.view

    @cached_property
    def reader(self) -> TopicReader:
        """Of `catalog.events`."""
        return self.exits.enter_context(TopicReader(self.settings.kafka()))

    @cached_property
    def resender(self) -> Resender:
        """Opened when something is sent."""
        return self.exits.enter_context(Resender(self.settings.kafka(), self.settings.topics))

    @cached_property
    def lane(self) -> Lane:
        """The view's replay lane."""
        group = self.settings.group(self.view, "replay")
        return self.exits.enter_context(Lane(self.settings.kafka(), self.settings.topics.replay, group))

    def look(self, products: Sequence[str]) -> Mapping[str, Look]:
        """What the view holds for these products."""
        return look(self.store, self.view, products, times=self.force)

    def run(self, feed: Feed, pace: Pace, counts: Counts, progress: Callable[[Counts], None]) -> Counts:
        """Replay a feed to its end."""
        reader = self.exits.enter_context(TopicReader(self.settings.kafka()))
        news = News(self.settings.kafka(), self.settings.topics, self.view, reader)
        outside = Outside(self.lane, news, self.look, self.resender)
        return Replay(feed, outside, pace, counts, progress=progress, say=self.say).run()


@dataclass
class Job:
    """A replay that is planned and not begun."""

    name: str | None
    """None where nothing need be remembered to go on."""
    plan: Plan
    begin: Callable[[], Feed]
    finish: Callable[[], None] = lambda: None
    done: Counts = field(default_factory=Counts)
    """By earlier runs."""
    options: str = ""
    refused: RedriveReport | None = None
    """Letters that can't be sent again."""


@contextmanager
def log_job(site: Site, selection: Selection | None, name: str | None, *, dry_run: bool) -> Iterator[Job]:
    """A replay of the topic: a new one, or the rest of the one of this name.

    Raises:
        ReplayError, SelectionError: with what to do about it.
    """
    with ExitStack() as stack:
        name = name or f"{datetime.now(UTC):%Y%m%d-%H%M}-{secrets.token_hex(2)}"
        cursor = None if dry_run else stack.enter_context(Cursor(site.settings.kafka(), site.settings.topics, name))
        if cursor is not None:
            cursor.join()
        memo = cursor.memo if cursor else None
        selection = selection if memo is None else resumed(name, memo, selection)
        if selection is None:
            raise ReplayError(f"there is no replay {name!r} to resume: say what to replay (--all, --since, …)")
        site.force, site.all_views = selection.force, selection.view is None
        if selection.view not in (None, site.view):
            raise ReplayError(f"the replay {name!r} is of the view {selection.view}: FRESHLINE_VIEW={selection.view}")
        topic = site.settings.topics.events
        where = cursor.spans if cursor and memo else resolve(selection, site.reader, topic)
        scanned = partial(site.advance, "reading the topic")
        plan = plan_log(
            selection,
            where,
            site.reader,
            topic=topic,
            scheme=site.settings.versions,
            look=site.look,
            scanned=scanned,
        )

        def begin() -> Feed:
            assert cursor is not None
            if memo is None:
                cursor.begin(Memo.of(selection, plan.events), where)
            read = partial(site.reader.read, topic)
            return LogFeed(read, selection, site.settings.versions, cursor, site.resender)

        finish = cursor.finish if cursor else lambda: None
        yield Job(name, plan, begin, finish, memo.counts if memo else Counts(), selection.options())


def resumed(name: str, memo: Memo, given: Selection | None) -> Selection:
    """What a replay that stopped was asked for.

    Raises:
        ReplayError: something else is asked for now, or it must be said again.
    """
    if given is not None and given.digest() != memo.digest:
        raise ReplayError(
            f"the replay {name!r} was begun with {memo.options}; --name {name} alone resumes it, "
            f"--forget {name} drops it"
        )
    found = given or memo.asked
    if found is None:
        raise ReplayError(f"the replay {name!r} was begun with {memo.options}: give the same options to resume it")
    return found


@contextmanager
def letters_job(site: Site) -> Iterator[Job]:
    """A replay of the view's dead letters that were not sent again before."""
    settings = site.settings
    with Letterbox(settings.kafka(), settings.topics.dead_letters) as box:
        report = RedriveReport(dry_run=True)
        first = list(islice(letters := _letters(site, box, report), BATCH))
        events = len(first) + sum(1 for _ in letters)
        feed = LetterFeed((), Redriver(box, site.resender), settings.versions)
        plan = plan_list(events, map(feed.event, first), site.look)

        def begin() -> Feed:
            again = RedriveReport(dry_run=False)
            return LetterFeed(_letters(site, box, again), Redriver(box, site.resender), settings.versions)

        yield Job(None, plan, begin, options="--dead-letters", refused=report)


def _letters(site: Site, box: Letterbox, report: RedriveReport) -> Iterator[Filed]:
    rules = Redrivable(site.settings.topics, site.settings.tombstone_retention)
    read = (entry for entry in box.read() if not isinstance(entry, Unreadable))
    return chosen_letters((each for each in read if each.letter.view == site.view), rules, report, again=False)


@contextmanager
def differences_job(site: Site) -> Iterator[Job]:
    """A replay of what differs between the view and the topic."""
    settings = site.settings
    groups = {lane: settings.group(site.view, lane) for lane in ("live", "retry", "replay")}
    scope = Scope(settings.kafka(), settings.topics, site.view, groups, settings.versions)
    with Ledger() as ledger:
        done: dict[str, int] = {}

        def progress(what: str, more: int, total: int) -> None:
            done[what] = done.get(what, 0) + more
            site.advance(what, done[what], total)

        Reconciliation(scope, site.store, site.reader, ledger, progress).run()
        plan = plan_list(count(ledger), islice(_differing(site, scope, ledger), BATCH), site.look)

        def begin() -> Feed:
            clear(scope, site.store, ledger)
            return ListFeed(_differing(site, scope, ledger), site.resender, site.meant, force=site.force)

        yield Job(None, plan, begin, options="--reconcile")


def _differing(site: Site, scope: Scope, ledger: Ledger) -> Iterator[Outgoing]:
    messages = differing(scope, site.reader, ledger)
    return (outgoing(message, site.settings.versions, force=site.force) for message in messages)
