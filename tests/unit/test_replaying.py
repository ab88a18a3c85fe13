"""Which events a replay takes, how it is remembered, and what is made of what it finds: pure, mostly as properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshline.replays import resumed
from indexer.decide import Change
from indexer.points import Stored
from schemas.events import Event
from schemas.payloads import EncodedImage, revision_of
from stream.replaying.cursor import Memo, ReplayError
from stream.replaying.plan import Plan
from stream.replaying.run import Pace
from stream.replaying.selection import Matcher, Selection, SelectionError, Span, spans
from stream.replaying.tally import Counts, Expected, Look, outcome

NOW = datetime(2026, 6, 1, tzinfo=UTC)
URL = "https://images.example/1.jpg"
offsets = st.integers(0, 50)
bounds = st.dictionaries(st.integers(0, 5), st.tuples(offsets, offsets).map(lambda pair: (min(pair), max(pair))))


def change(version: int = 2, offset: int = 20, *, force: bool = False, category: str | None = None) -> Change:
    body = {"event_id": "e", "type": "updated", "product_id": "p", "occurred_at": NOW, "version": version}
    product = {"title": "Mug", "category": category, "images": [{"url": URL}]}
    return Change(Event.model_validate(body | {"product": product}), offset, force=force)


def held(version: int, offset: int, *, encoded: bool = True, at: datetime | None = None) -> Look:
    images = (EncodedImage(url=URL, digest="sha256:0"),) if encoded else ()
    return Look(Stored(version, revision_of(offset, len(images)), images), at)


@given(bounds, st.data())
def test_spans_are_what_every_choice_allows(marks: dict[int, tuple[int, int]], data: st.DataObject) -> None:
    named = {
        number: Span(partition=number, start=data.draw(offsets), end=data.draw(st.integers(51, 60) | offsets))
        for number in data.draw(st.sets(st.sampled_from(sorted(marks)))) if marks
    } if marks else {}  # fmt: skip
    since = {number: data.draw(offsets) for number in marks}
    until = {number: data.draw(offsets) for number in marks}
    found = spans(Selection(offsets=tuple(named.values())), marks, since, until)
    for number, (low, high) in marks.items():
        wanted = {
            offset
            for offset in range(low, high)
            if since[number] <= offset < until[number]
            and (not named or (number in named and named[number].start <= offset < named[number].end))  # type: ignore[operator]
        }
        assert set(range(*found.get(number, (0, 0)))) == wanted


@given(st.integers(0, 999), st.none() | st.integers(0, 10**6), st.none() | st.integers(10**6 + 1, 10**9))
def test_a_span_is_read_as_it_is_written(partition: int, start: int | None, end: int | None) -> None:
    span = Span(partition=partition, start=start, end=end)
    assert Span.read(str(span)) == span


@pytest.mark.parametrize("text", ["", "3", "3:", "3:5", "3:5-5", "3:6-5", "-1:0-1", "a:0-1", "0:1-2-3", "²:0-1"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(SelectionError):
        Span.read(text)


def test_a_partition_that_is_not_there_or_is_named_twice_is_refused() -> None:
    with pytest.raises(SelectionError, match="no partition 7"):
        spans(Selection(offsets=(Span(partition=7),)), {0: (0, 9)})
    with pytest.raises(ValueError, match="named twice"):
        Selection(offsets=(Span(partition=1), Span(partition=1, start=5)))


def test_categories_and_products_are_matched_and_deletes_are_in_no_category() -> None:
    matcher = Matcher(Selection(products=("a", "b"), category="shoe"))
    assert matcher.key(b"a")
    assert not matcher.key(b"c")
    assert not matcher.key(None)
    assert matcher.event(change(category="shoe").event)
    assert not matcher.event(change(category="mug").event)
    assert not matcher.event(None)
    assert Matcher(Selection()).event(None)
    assert Matcher(Selection()).key(None)


selections = st.builds(
    Selection,
    view=st.none() | st.text(max_size=8),
    force=st.booleans(),
    since=st.none() | st.datetimes(timezones=st.just(UTC)),
    products=st.lists(st.text(min_size=1, max_size=30), max_size=200).map(lambda ids: tuple(sorted(set(ids)))),
    category=st.none() | st.text(max_size=256),
)


@given(selections, selections)
def test_a_replay_is_resumed_by_its_name_alone_or_by_the_same_choice_and_by_no_other(
    first: Selection, second: Selection
) -> None:
    memo = Memo.model_validate_json(Memo.of(first, 7).model_dump_json())
    assert resumed("mine", memo, first) == first
    if memo.asked is None:
        with pytest.raises(ReplayError, match="same options"):
            resumed("mine", memo, None)
    else:
        assert resumed("mine", memo, None) == first
    if second != first:
        with pytest.raises(ReplayError, match="--forget mine"):
            resumed("mine", memo, second)


@given(selections)
def test_what_stands_beside_a_commit_fits_there(selection: Selection) -> None:
    """Kafka takes 4,096 bytes; characters beyond ASCII are escaped, so that they count as the others."""
    figures = Counts(**dict.fromkeys(Counts.model_fields, 10**9))
    memo = Memo.of(selection, 10**9).model_copy(update={"end": 10**12, "counts": figures})
    assert len(memo.model_dump_json(ensure_ascii=True).encode()) < 4096


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (Look(), held(2, 20), "indexed"),
        (held(1, 10), held(2, 20), "indexed"),
        (held(2, 20, encoded=False), held(2, 20), "indexed"),
        (held(2, 20), held(2, 20), "already_there"),
        (held(3, 30), held(3, 30), "already_there"),
        (held(2, 30), held(2, 30), "already_there"),
        (held(1, 10), held(3, 30), "overtaken"),
        (held(1, 10), held(1, 10), "failed"),
        (held(1, 10), held(2, 20, encoded=False), "failed"),
        (Look(), Look(), "failed"),
    ],
)
def test_what_became_of_an_event_is_told_by_the_view_before_and_after(before: Look, after: Look, wanted: str) -> None:
    expected = Expected((0, 20), change(), before)
    assert outcome(expected, after, letter=False, parked=False) == wanted
    assert outcome(expected, after, letter=True, parked=False) == "dead_letters"
    assert outcome(expected, after, letter=False, parked=True) == ("parked" if wanted == "failed" else wanted)


def test_a_forced_event_is_indexed_only_if_its_point_was_written_again() -> None:
    forced, later = change(force=True), NOW + timedelta(seconds=1)
    expected = Expected((0, 20), forced, held(2, 20, at=NOW))
    assert outcome(expected, held(2, 20, at=later), letter=False, parked=False) == "indexed"
    assert outcome(expected, held(2, 20, at=NOW), letter=False, parked=False) == "failed"
    newer = Expected((0, 20), forced, held(3, 30, at=NOW))
    assert outcome(newer, held(3, 30, at=NOW), letter=False, parked=False) == "already_there"


def test_what_is_no_event_is_a_dead_letter_or_failed() -> None:
    unreadable = Expected((0, 20), None)
    assert outcome(unreadable, Look(), letter=True, parked=False) == "dead_letters"
    assert outcome(unreadable, Look(), letter=False, parked=False) == "failed"


@given(st.lists(st.sampled_from(sorted(Counts.model_fields))))
def test_counts_add_up_and_are_well_only_without_trouble(outcomes: list[str]) -> None:
    counted = Counts().plus(*outcomes)
    assert counted.total == len(outcomes)
    assert counted.ok == (not {"parked", "dead_letters", "failed"} & set(outcomes))


@given(st.floats(0.1, 10**6), st.integers(1, 10_000))
def test_a_batch_never_passes_the_bound_nor_half_a_second_of_the_rate(rate: float, outstanding: int) -> None:
    batch = Pace(outstanding, rate).batch
    assert 1 <= batch <= outstanding
    assert batch <= max(1, round(rate / 2))


def test_a_rate_or_one_worker_makes_it_longer() -> None:
    plan = Plan(10_000, exact=True, pictures=1.0)
    assert plan.seconds(2, None) < plan.seconds(1, None) == plan.seconds(0, None)
    assert plan.seconds(2, 10) == 1000
