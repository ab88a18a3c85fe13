"""A contact sheet: queries beside what they found, misses first, to be looked at by a person."""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from search.evaluation import Answer, Evaluation

Fetch = Callable[[str], Awaitable[bytes | None]]
"""A picture's URL to its bytes, or None if it can't be had."""

_TILE, _GAP, _LINE = 104, 10, 15
_RESULTS = 10
_ROW = _TILE + 3 * _LINE
_HEAD = 34
_INK, _FAINT, _HIT, _PAPER, _BLANK = "#1c1c1a", "#6b6b66", "#11823b", "#ffffff", "#ecece8"


class Section(NamedTuple):
    """Queries that came to the same."""

    title: str
    answers: Sequence[Answer]
    most: int

    def shown(self) -> Sequence[Answer]:
        """At most `most`, from all over the file."""
        step = max(1.0, len(self.answers) / self.most)
        return [self.answers[int(number * step)] for number in range(min(self.most, len(self.answers)))]


def sections(answers: Sequence[Answer]) -> list[Section]:
    """Misses, those that were found late, and those that were found first; none that is empty."""
    late = [answer for answer in answers if 1 < answer.rank <= 10]
    all_of_them = [
        Section("not among the first ten", [answer for answer in answers if answer.rank > 10], 10),
        Section("among the first ten", late, 5),
        Section("first", [answer for answer in answers if answer.rank == 1], 5),
    ]
    return [section for section in all_of_them if section.answers]


async def contact_sheet(evaluation: Evaluation, fetch: Fetch) -> Image.Image:
    """Draw some queries of each section with their first results."""
    chosen = sections(evaluation.answers)
    answers = list(chain.from_iterable(section.shown() for section in chosen))
    urls = {url for answer in answers for each in (answer.wanted, *answer.hits) if each for url in each.image_urls[:1]}
    found = dict(zip(urls, await asyncio.gather(*map(fetch, urls)), strict=True))
    return await asyncio.to_thread(_draw, evaluation, chosen, found)


def _draw(evaluation: Evaluation, chosen: Sequence[Section], found: Mapping[str, bytes | None]) -> Image.Image:
    height = 2 * _HEAD + sum(_HEAD + len(section.shown()) * (_ROW + _GAP) for section in chosen)
    sheet = Image.new("RGB", ((_RESULTS + 2) * (_TILE + _GAP) + 3 * _GAP, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _GAP), f"{evaluation.bundle} on {evaluation.view}", _INK, _font(16))
    top = _HEAD + _GAP
    for section in chosen:
        share = f"{len(section.answers):,} of {len(evaluation.answers):,} queries"
        pen.text((_GAP, top), f"{section.title}: {share}", _INK, _font(14))
        top += _HEAD - _GAP
        for answer in section.shown():
            _draw_row(sheet, top, answer, found)
            top += _ROW + _GAP
    return sheet


def _draw_row(sheet: Image.Image, top: int, answer: Answer, found: Mapping[str, bytes | None]) -> None:
    rank = "not found" if math.isinf(answer.rank) else f"rank {answer.rank:.0f}"
    asked = answer.query.image.read_bytes() if answer.query.image else None
    _draw_tile(sheet, (_GAP, top), asked, answer.query.name, [rank, answer.category or ""])
    wanted = answer.wanted
    picture = _first(wanted.image_urls, found) if wanted else None
    name = (wanted.title if wanted else None) or answer.query.products[0]
    _draw_tile(sheet, (2 * _GAP + _TILE, top), picture, name, ["wanted", answer.query.products[0]])
    for number, hit in enumerate(answer.hits[:_RESULTS], 2):
        corner = (3 * _GAP + number * (_TILE + _GAP), top)
        is_hit = hit.product_id in answer.query.products
        mark = f"hit {hit.score:.3f}" if is_hit else f"{hit.score:.3f}"
        captions, frame = [mark, hit.product_id], _HIT if is_hit else None
        picture = _first(hit.image_urls, found)
        _draw_tile(sheet, corner, picture, hit.title or hit.product_id, captions, frame=frame)


def _draw_tile(
    sheet: Image.Image,
    corner: tuple[int, int],
    picture: bytes | None,
    name: str,
    captions: Sequence[str],
    *,
    frame: str | None = None,
) -> None:
    pen, (left, top) = ImageDraw.Draw(sheet), corner
    pen.rectangle((left, top, left + _TILE - 1, top + _TILE - 1), _BLANK)
    small = _opened(picture)
    if small is not None:
        sheet.paste(small, (left + (_TILE - small.width) // 2, top + (_TILE - small.height) // 2))
    else:
        pen.multiline_text((left + 6, top + 6), "\n".join(wrap(name, 16)[:6]), _INK, _font(12))
    if frame:
        pen.rectangle((left, top, left + _TILE - 1, top + _TILE - 1), outline=frame, width=5)
    for number, (caption, colour) in enumerate(zip(captions, _colours(frame), strict=True)):
        pen.text((left, top + _TILE + 2 + number * _LINE), _shortened(caption), colour, _font(12))


def _colours(frame: str | None) -> Iterator[str]:
    yield frame or _INK
    yield _FAINT


def _opened(picture: bytes | None) -> Image.Image | None:
    """At most a tile large, upright; None if it is no picture after all."""
    if picture is None:
        return None
    try:
        image = Image.open(io.BytesIO(picture))
        image.draft("RGB", (2 * _TILE, 2 * _TILE))
        return ImageOps.contain(ImageOps.exif_transpose(image).convert("RGB"), (_TILE, _TILE))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _first(urls: Sequence[str], found: Mapping[str, bytes | None]) -> bytes | None:
    return found.get(urls[0]) if urls else None


def _shortened(caption: str) -> str:
    return caption if len(caption) <= 18 else f"{caption[:8]}…{caption[-8:]}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def save(sheet: Image.Image, file: Path) -> None:
    """Write the sheet, in the format that the file's ending says.

    Raises:
        OSError, ValueError: it can't be written, or is of no known kind.
    """
    sheet.save(file)
