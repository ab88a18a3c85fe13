"""What a reconciliation has to remember, on disk.

Millions of products don't fit in memory, so everything about them is in SQLite's own temporary file, which has no name
and ends with the connection, behind a page cache of bounded size. It lies where `SQLITE_TMPDIR` or `TMPDIR` says, and
takes about 150 bytes a product.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from indexer.scan import Seen
from stream.reconcile.compare import Kind, Winner

CACHE_KIB = 32 * 1024
Place = tuple[int, int]
"""(partition, offset) in `catalog.events`."""

_TABLES = """
CREATE TABLE winners (product BLOB PRIMARY KEY, version INTEGER, "offset" INTEGER, "partition" INTEGER,
                      deleted INTEGER, wanted BLOB, seen INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE TABLE refused (product BLOB, "offset" INTEGER, PRIMARY KEY (product, "offset")) WITHOUT ROWID;
CREATE TABLE waiting ("partition" INTEGER, "offset" INTEGER, PRIMARY KEY ("partition", "offset")) WITHOUT ROWID;
CREATE TABLE letters ("partition" INTEGER, "offset" INTEGER, PRIMARY KEY ("partition", "offset")) WITHOUT ROWID;
CREATE TABLE suspects (id TEXT PRIMARY KEY, product BLOB, version INTEGER, revision INTEGER) WITHOUT ROWID;
CREATE TABLE differences (id TEXT PRIMARY KEY, product TEXT, kind TEXT, "partition" INTEGER, "offset" INTEGER,
                          version INTEGER, revision INTEGER, blocks INTEGER) WITHOUT ROWID;
"""
_WIN = """
INSERT INTO winners (product, version, "offset", "partition", deleted, wanted) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (product) DO UPDATE SET version = excluded.version, "offset" = excluded."offset",
  "partition" = excluded."partition", deleted = excluded.deleted, wanted = excluded.wanted
WHERE (excluded.version, excluded."offset") > (version, "offset")
"""
_WINNER = 'product, version, "offset", "partition", deleted, wanted'


@dataclass(frozen=True)
class Suspect:
    """A point, or a product's missing point, to be looked at again; its rank when it was first seen."""

    id: str
    product: bytes | None
    version: int | None
    revision: int | None


@dataclass(frozen=True)
class Difference:
    """A difference that was found twice."""

    kind: Kind
    product_id: str | None
    winner: Winner | None
    seen: Seen | None
    id: str

    @property
    def blocks(self) -> bool:
        """Whether the point claims to be at the winner and is not, so that the event would be taken for done."""
        at_winner = self.seen is not None and self.winner is not None and self.seen.place == self.winner.place
        return at_winner and self.kind is not Kind.INCOMPLETE


class Ledger:
    """A context manager; for one thread."""

    def __init__(self, cache_kib: int = CACHE_KIB) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{cache_kib}"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN")  # and never commit: nothing of it is to last

    def win(self, events: Iterable[tuple[bytes, Winner]]) -> None:
        """Take each event for its product's winner unless there is a higher one."""
        self._db.executemany(
            _WIN, ((key, won.version, won.offset, won.partition, won.deleted, won.wanted) for key, won in events)
        )

    def winners(self, products: Sequence[bytes]) -> dict[bytes, Winner]:
        """Of these products, as far as there are any."""
        holes = ", ".join("?" * len(products))
        rows = self._db.execute(f"SELECT {_WINNER} FROM winners WHERE product IN ({holes})", products)  # noqa: S608
        return dict(map(_winner, rows))

    def mark_seen(self, products: Iterable[bytes]) -> None:
        """There is a point of each of these."""
        self._db.executemany("UPDATE winners SET seen = 1 WHERE product = ?", ((product,) for product in products))

    def unseen(self) -> Iterator[tuple[bytes, Winner]]:
        """The products that ought to have a point and have none."""
        return map(_winner, self._db.execute(f"SELECT {_WINNER} FROM winners WHERE NOT seen AND NOT deleted"))  # noqa: S608

    def count_winners(self) -> int:
        """How many products the log knows."""
        return self._number("SELECT count(*) FROM winners")

    def refuse(self, events: Iterable[tuple[bytes, int]]) -> None:
        """Events, as (key, offset), that were not valid when they came."""
        self._db.executemany("INSERT OR IGNORE INTO refused VALUES (?, ?)", events)

    def was_refused(self, product: bytes, offset: int) -> bool:
        """Whether this event was not valid when it came."""
        return bool(self._number('SELECT count(*) FROM refused WHERE product = ? AND "offset" = ?', product, offset))

    def wait(self, places: Iterable[Place]) -> None:
        """Events that wait on another lane."""
        self._db.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?)", places)

    def waits(self, place: Place) -> bool:
        """Whether this event does."""
        return bool(self._number('SELECT count(*) FROM waiting WHERE "partition" = ? AND "offset" = ?', *place))

    def add_letter(self, place: Place) -> None:
        """There is a dead letter of this event."""
        self._db.execute("INSERT OR IGNORE INTO letters VALUES (?, ?)", place)

    def drop_letter(self, place: Place) -> None:
        """There is none any more."""
        self._db.execute('DELETE FROM letters WHERE "partition" = ? AND "offset" = ?', place)

    def has_letter(self, place: Place) -> bool:
        """Whether there is one."""
        return bool(self._number('SELECT count(*) FROM letters WHERE "partition" = ? AND "offset" = ?', *place))

    def suspect(self, suspects: Iterable[Suspect]) -> None:
        """To be looked at again."""
        rows = ((each.id, each.product, each.version, each.revision) for each in suspects)
        self._db.executemany("INSERT OR REPLACE INTO suspects VALUES (?, ?, ?, ?)", rows)

    def suspects(self) -> Iterator[Suspect]:
        """All of them."""
        return (Suspect(*row) for row in self._db.execute("SELECT * FROM suspects"))

    def count_suspects(self) -> int:
        """How many there are."""
        return self._number("SELECT count(*) FROM suspects")

    def differ(self, difference: Difference) -> None:
        """Keep what a repair needs."""
        winner, seen = difference.winner, difference.seen
        self._db.execute(
            "INSERT OR REPLACE INTO differences VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                difference.id,
                difference.product_id,
                difference.kind,
                winner and winner.partition,
                winner and winner.offset,
                seen and seen.version,
                seen and seen.revision,
                difference.blocks,
            ),
        )

    def spans(self) -> dict[int, tuple[int, int]]:
        """By partition, from the first event to send again to the one after the last."""
        rows = self._db.execute(
            'SELECT "partition", min("offset"), max("offset") + 1 FROM differences'
            ' WHERE "partition" IS NOT NULL GROUP BY "partition"'
        )
        return {partition: (first, end) for partition, first, end in rows}

    def offsets(self, partition: int) -> Iterator[int]:
        """Of the events to send again, in order."""
        rows = self._db.execute(
            'SELECT DISTINCT "offset" FROM differences WHERE "partition" = ? ORDER BY "offset"', (partition,)
        )
        return (offset for (offset,) in rows)

    def orphans(self) -> Iterator[Seen]:
        """Points that no event explains, as they were seen."""
        return self._points(f"kind = '{Kind.ORPHANED.value}'")

    def blocking(self) -> Iterator[Seen]:
        """Points that would have their event taken for done."""
        return self._points("blocks")

    def _points(self, condition: str) -> Iterator[Seen]:
        rows = self._db.execute(f"SELECT id, product, version, revision FROM differences WHERE {condition}")  # noqa: S608
        return (Seen(*row) for row in rows)

    def _number(self, query: str, *values: Any) -> int:
        return int(self._db.execute(query, values).fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._db.close()


def _winner(row: tuple[Any, ...]) -> tuple[bytes, Winner]:
    product, version, offset, partition, deleted, wanted = row
    return product, Winner(version, offset, partition, bool(deleted), wanted)
