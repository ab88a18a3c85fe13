"""The rows of a file, one by one, each with its line and how many bytes were read: JSON lines or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from freshline.importing.columns import Columns, MapError, invalid
from schemas.events import MAX_EVENT_BYTES, Event, InvalidEvent, VersionScheme, check_version, parse_event


@dataclass(frozen=True)
class Line:
    """A row: its event, or why there is none."""

    number: int
    bytes_read: int
    result: Event | InvalidEvent


class _Counted:
    """The lines of a file, and how much of it they were."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.bytes += len(line)
            yield line


def json_lines(file: IO[bytes], columns: Columns | None, scheme: VersionScheme, skip: int = 0) -> Iterator[Line]:
    """An event of each line that is not empty.

    Args:
        file: one JSON object a line.
        columns: for lines that are no events yet; None: every line must be one.
        scheme: of the versions.
        skip: as many lines that are not empty are passed over.
    """
    lines, rows = _Counted(file), 0
    for number, line in enumerate(lines, start=1):
        rows += bool(line.strip())
        if line.strip() and rows > skip:
            yield Line(number, lines.bytes, _checked(lambda text=line: _of_json(text, columns), scheme))


def csv_rows(file: IO[bytes], columns: Columns | None, scheme: VersionScheme, skip: int = 0) -> Iterator[Line]:
    """An event of each row; the first one names the columns.

    Raises:
        MapError: the columns are not what they must be.
    """
    columns = columns or Columns()
    csv.field_size_limit(MAX_EVENT_BYTES)
    lines = _Counted(file)
    # What is no UTF-8 is told of its own row: a decoder that stops would end the whole file.
    reader = csv.reader(line.decode("utf-8", "surrogateescape") for line in lines)
    header = _header(reader, columns)
    rows = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            rows += 1
            if rows > skip:
                yield Line(reader.line_num, lines.bytes, invalid(f"row: {error}"))
            continue
        rows += bool(cells)
        if cells and rows > skip:
            result = _checked(lambda row=cells: columns.event(_row(header, row)), scheme)
            yield Line(reader.line_num, lines.bytes, result)


def _of_json(line: bytes, columns: Columns | None) -> Event:
    if columns is None or len(line) > MAX_EVENT_BYTES:
        return parse_event(line)
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return parse_event(line)  # which says what is wrong
    if not isinstance(row, dict) or "event_id" in row or isinstance(row.get("product"), dict):
        return parse_event(line)
    return columns.event(row)


def _header(reader: Iterator[list[str]], columns: Columns) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise MapError(f"the first line: {error}") from None
    if header:
        header[0] = header[0].removeprefix("\ufeff")
    if twice := {name for name in header if name and header.count(name) > 1}:
        raise MapError(f"the first line names {min(twice)!r} twice")
    for name in (*columns.mapped, "product_id", "title", "images"):
        if columns.column(name) not in header:
            raise MapError(f"no column {columns.column(name)!r} for {name} in the first line: {', '.join(header)}")
    return header


def _row(header: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(header):
        raise invalid(f"row: {len(cells)} cells, and {len(header)} columns")
    for name, cell in zip(header, cells, strict=True):
        if not cell.isascii() and any("\udc80" <= char <= "\udcff" for char in cell):
            raise invalid(f"{name}: not UTF-8")
    return dict(zip(header, cells, strict=True))


def _checked(read: Any, scheme: VersionScheme) -> Event | InvalidEvent:
    try:
        event: Event = read()
        check_version(event, scheme, datetime.now(UTC))
    except InvalidEvent as error:
        return error
    return event
