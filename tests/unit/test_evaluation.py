"""Labelled queries through Qdrant's local mode, where every rank is known; on a real server: tests/integration."""

from __future__ import annotations

import asyncio
import io
import json
import math
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from encoders.bundle import Bundle
from freshline.evaluation.report import EvaluationReport
from freshline.evaluation.run import Where, run
from freshline.evaluation.sheet import contact_sheet, sections
from freshline.settings import Settings
from search.evaluation import Evaluation, EvaluationError
from search.labelled import LabelError, Query, read_gallery, read_pairs
from tests.bundles import tiny_bundle, tiny_words
from tests.harness import freshline
from tests.ring import RANKS, draw_ring

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    draw_ring(tmp_path)
    return tiny_bundle(tmp_path / "bundle")


async def evaluated(folder: Path, queries: list[Query] | None = None) -> Evaluation:
    where = Where(gallery=read_gallery(folder / "gallery.csv"))
    asked = queries or read_pairs(folder / "pairs.csv")
    return await run(Settings(), folder / "bundle", asked, where, lambda *_: None)


@pytest.fixture
async def evaluation(bundle: Bundle, tmp_path: Path) -> Evaluation:
    return await evaluated(tmp_path)


def test_every_query_gets_the_rank_that_is_known_for_it(evaluation: Evaluation) -> None:
    overall = evaluation.overall()

    assert evaluation.ranks == RANKS
    assert overall.recall_at_1.value == pytest.approx(1 / 4)
    assert overall.recall_at_10.value == pytest.approx(3 / 4)
    assert overall.mrr.value == pytest.approx((1 + 1 / 4 + 1 / 12 + 1 / 3) / 4)
    assert evaluation.absent == 0


def test_a_query_is_of_its_own_category_or_of_its_products(evaluation: Evaluation) -> None:
    categories = evaluation.by_category()

    assert {name: found.queries for name, found in categories.items()} == {"low": 2, "high": 1, "mixed": 1}
    assert next(iter(categories)) == "low"
    assert categories["low"].recall_at_1.value == 0.5
    assert categories["high"].recall_at_10.value == 0


async def test_a_product_that_the_view_does_not_hold_is_not_found_and_counted(bundle: Bundle, tmp_path: Path) -> None:
    queries = [*read_pairs(tmp_path / "pairs.csv"), Query("x", tmp_path / "pictures/p0.png", None, ("nowhere",))]
    found = await evaluated(tmp_path, queries)

    assert found.ranks == [*RANKS, math.inf]
    assert found.absent == 1


async def test_words_for_a_bundle_without_a_text_tower_are_an_error(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"red bag: .*text tower"):
        await evaluated(tmp_path, [Query("red bag", None, "red bag", ("p0",))])


async def test_words_are_asked_in_the_pictures_space(tmp_path: Path) -> None:
    draw_ring(tmp_path)
    tiny_bundle(tmp_path / "bundle", text=tiny_words())
    (tmp_path / "words.csv").write_text("text,product,category\nred,p0,words\ngreen,p10,words\ngreen,p11,words\n")
    found = await evaluated(tmp_path, read_pairs(tmp_path / "words.csv"))

    assert found.ranks == [1, 1]
    assert [hit.product_id for hit in found.answers[1].hits[:3]] == ["p11", "p10", "p9"]


async def test_pictures_that_are_none_are_named(bundle: Bundle, tmp_path: Path) -> None:
    broken = tmp_path / "pictures/c.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(EvaluationError, match=r"pictures/c.png: .*neither JPEG"):
        await evaluated(tmp_path)

    (tmp_path / "pictures/p7.png").write_bytes(broken.read_bytes())
    with pytest.raises(LabelError, match=r"pictures/p7.png: neither JPEG"):
        await evaluated(tmp_path)


def test_the_table_fits_a_terminal_and_compares(evaluation: Evaluation) -> None:
    screen = Console(file=io.StringIO(), width=80, record=True)
    screen.print(EvaluationReport(evaluation, evaluation).table())
    lines = screen.export_text().splitlines()

    assert max(map(len, lines)) <= 80
    assert any(line.split()[:4] == ["first", "4", "0.250", "0.00..0.75"] for line in lines)
    assert any(line.split()[:4] == ["first", "-", "second", "4"] for line in lines)
    assert "the first ranks 0 queries better and 0 worse than the second" in lines


def test_the_sheet_shows_misses_first(evaluation: Evaluation) -> None:
    titles = [section.title for section in sections(evaluation.answers)]
    assert titles == ["not among the first ten", "among the first ten", "first"]


async def test_every_hit_that_is_shown_has_a_frame(evaluation: Evaluation) -> None:
    async def fetch(url: str) -> bytes:
        return await asyncio.to_thread(Path(url.removeprefix("file://")).read_bytes)

    sheet = await contact_sheet(evaluation, fetch)
    blank = await contact_sheet(evaluation, _nothing)
    framed = Image.new("RGB", (104, 5), "#11823b").tobytes()

    assert sheet.size == blank.size
    for drawn in (sheet, blank):
        rows = drawn.tobytes().count(framed[: 3 * 104])
        assert rows == 10 * 4  # three queries with one hit and one with two, five rows of pixels above and below


async def _nothing(url: str) -> None:
    return None


def test_the_command_prints_json_draws_a_sheet_and_fails_below_the_least_recall(bundle: Bundle, tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("bundle", "pairs.csv")]
    gallery = ["--gallery", str(tmp_path / "gallery.csv")]
    sheet = tmp_path / "sheet.png"
    enough = freshline("evaluate", *files, *gallery, "--json", "--min-recall", "0.75", "--sheet", str(sheet), env={})
    short = freshline("evaluate", *files, *gallery, "--min-recall", "0.76", "--against", files[0], env={})

    assert enough.returncode == 0, enough.stderr
    figures = json.loads(enough.stdout)
    assert figures["bundle"] == "tiny@1"
    assert figures["overall"]["recall_at_10"]["value"] == 0.75
    assert [answer["rank"] for answer in figures["answers"]] == RANKS
    assert figures["answers"][0]["found"][:3] == ["p0", "p1", "p2"]
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert short.returncode == 1
    assert "Recall@10 is 0.750, below 0.76" in short.stderr
    assert "first - second" in short.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give either --gallery or --view"),
        (["--view", "v", "--against", "b"], "--against needs --against-view"),
        (["--view", "v", "--against-view", "w"], "--against-view needs --against"),
        (["--gallery", "absent.csv"], "absent.csv: No such file"),
    ],
)
def test_wrong_options_are_said_in_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    done = freshline("evaluate", "shipped", str(tmp_path / "pairs.csv"), *options, env={})

    assert done.returncode == 1
    assert message in done.stderr
    assert done.stdout == ""
