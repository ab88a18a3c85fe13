from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from indexer import writer
from indexer.collections import ensure_view
from indexer.points import RANK_FIELDS, Point, read_payload, read_stored
from indexer.store import Store
from indexer.writer import WriteContention, Written, stab, write
from schemas.payloads import VECTOR_NAME, Payload
from tests.factories import DIMENSION, VIEW, digest, point, rounded, vector


def put(store: Store, *points: Point) -> list[Written]:
    return store.run_sync(lambda client: write(client, VIEW, points))


def held(store: Store, product_id: str = "p1") -> Payload:
    payload = store.run_sync(lambda client: read_payload(client, VIEW, product_id))
    assert payload is not None
    return payload


def vectors(store: Store, product_id: str = "p1") -> list[list[float]]:
    found = store.run_sync(lambda client: read_stored(client, VIEW, [product_id], fields=RANK_FIELDS, vectors=True))
    return rounded(found[product_id].vectors)


def found_by(store: Store, name: str) -> list[str]:
    """The products that a query with the picture `name` finds."""
    answer = store.run_sync(
        lambda client: client.query_points(VIEW, query=[vector(name)], using=VECTOR_NAME, limit=100, with_payload=True)
    )
    return [(hit.payload or {})["product_id"] for hit in answer.points]


# --- interval stabbing ----------------------------------------------------------------------------------------------

intervals = st.tuples(st.integers(0, 9), st.integers(1, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def planned(spans: Sequence[tuple[int, int]]) -> list[Point]:
    return [point(f"p{index}", version, read=read) for index, (read, version) in enumerate(spans)]


def fewest(spans: Sequence[tuple[int, int]]) -> int:
    """By brute force: the size of the smallest set of thresholds that serves every interval."""
    for count in range(len(spans) + 1):
        for thresholds in itertools.combinations(range(1, 16), count):
            if all(any(read < threshold <= version for threshold in thresholds) for read, version in spans):
                return count
    raise AssertionError


@given(st.lists(intervals, max_size=30))
def test_every_point_gets_a_threshold_past_what_was_read_and_not_past_its_own_version(
    spans: list[tuple[int, int]],
) -> None:
    for threshold, group in stab(planned(spans)):
        for member in group:
            assert member.read_version < threshold <= member.payload.version


@given(st.lists(intervals, max_size=30))
def test_every_point_is_in_one_group(spans: list[tuple[int, int]]) -> None:
    grouped = [member.payload.product_id for _, group in stab(planned(spans)) for member in group]

    assert sorted(grouped) == sorted(f"p{index}" for index in range(len(spans)))


@given(st.lists(intervals, max_size=6))
@settings(max_examples=50)
def test_there_are_as_few_groups_as_there_can_be(spans: list[tuple[int, int]]) -> None:
    assert len(stab(planned(spans))) == fewest(spans)


def test_timestamps_over_older_points_are_one_request() -> None:
    assert len(stab(planned([(10, 100), (20, 101), (0, 102), (99, 103)]))) == 1


def test_nothing_is_no_group() -> None:
    assert stab([]) == []


# --- the guard ------------------------------------------------------------------------------------------------------


def test_a_new_point_is_readable_with_its_vectors_when_write_returns(store: Store) -> None:
    assert put(store, point(version=3, images="ab")) == [Written.STORED]

    assert held(store) == point(version=3, images="ab").payload
    assert vectors(store) == rounded([vector("a"), vector("b")])


@pytest.mark.parametrize("read", [0, 1, 3])
def test_a_newer_version_replaces_payload_and_vectors(store: Store, read: int) -> None:
    put(store, point(version=3, images="ab"))

    assert put(store, point(version=4, images="c", read=read)) == [Written.STORED]
    assert held(store).version == 4
    assert vectors(store) == rounded([vector("c")])


@pytest.mark.parametrize("read", [0, 1, 3, 4])
def test_nothing_replaces_a_newer_version(store: Store, read: int) -> None:
    put(store, point(version=4, images="c"))

    assert put(store, point(version=3, images="a", read=read)) == [Written.OVERTAKEN]
    assert held(store).version == 4
    assert vectors(store) == rounded([vector("c")])


@pytest.mark.parametrize("read", [0, 3])
def test_at_equal_versions_a_higher_revision_replaces(store: Store, read: int) -> None:
    put(store, point(version=3, revision=32, images="a"))

    assert put(store, point(version=3, revision=33, images="b", read=read)) == [Written.STORED]
    assert held(store).revision == 33


@pytest.mark.parametrize("read", [0, 3])
def test_at_equal_versions_a_lower_revision_does_not(store: Store, read: int) -> None:
    put(store, point(version=3, revision=33, images="ab"))

    assert put(store, point(version=3, revision=32, images="a", read=read)) == [Written.OVERTAKEN]
    assert held(store).revision == 33


def test_a_forced_write_replaces_at_its_own_place(store: Store) -> None:
    put(store, point(version=3, revision=33, images="a"))

    assert put(store, point(version=3, revision=33, images="b", read=3)) == [Written.STORED]
    assert vectors(store) == rounded([vector("b")])


def test_outcomes_are_in_the_order_of_the_points(store: Store) -> None:
    put(store, point("p2", 9))

    outcomes = put(store, point("p1", 5), point("p2", 5), point("p3", 1), point("p4", 7, read=7))

    assert outcomes == [Written.STORED, Written.OVERTAKEN, Written.STORED, Written.STORED]


def test_two_points_of_one_product_are_an_error_of_ours(store: Store) -> None:
    with pytest.raises(AssertionError, match="two writes of one product"):
        put(store, point(version=1), point(version=2))


def test_a_repeated_write_is_stored_again(store: Store) -> None:
    put(store, point(version=3))

    assert put(store, point(version=3)) == [Written.STORED]


def test_versions_are_compared_exactly_at_the_end_of_their_range(store: Store) -> None:
    top = 2**53 - 1
    put(store, point(version=top - 1))

    assert put(store, point(version=top, read=top - 1)) == [Written.STORED]
    assert put(store, point(version=top - 1, read=0)) == [Written.OVERTAKEN]


# --- tombstones -----------------------------------------------------------------------------------------------------


def test_a_deleted_product_is_never_found(store: Store) -> None:
    put(store, point("p1", 1, images="a"), point("p2", 1, images="a"))
    put(store, point("p1", 2, read=1, deleted=True))

    assert found_by(store, "a") == ["p2"]
    assert held(store).deleted
    assert vectors(store) == []


@pytest.mark.parametrize("read", [0, 1])
def test_a_late_create_does_not_resurrect(store: Store, read: int) -> None:
    put(store, point(version=2, deleted=True))

    assert put(store, point(version=1, images="a", read=read)) == [Written.OVERTAKEN]
    assert found_by(store, "a") == []


def test_a_newer_create_brings_a_deleted_product_back(store: Store) -> None:
    put(store, point(version=2, deleted=True))
    put(store, point(version=3, images="a", read=2))

    assert found_by(store, "a") == ["p1"]
    assert not held(store).deleted


def test_a_product_without_any_vector_is_never_found(store: Store) -> None:
    put(store, point("p1", 1, images=""), point("p2", 1, images="a"))

    assert found_by(store, "a") == ["p2"]


# --- competing writers ----------------------------------------------------------------------------------------------


class Meddling:
    """A client that lets `meddle` write before each of the first upserts that pass through it."""

    def __init__(self, client: QdrantClient, *meddle: Callable[[QdrantClient], object]) -> None:
        self._client = client
        self.init_options = client.init_options
        self._meddle = list(meddle)
        self.upserts: list[int] = []

    def upsert(self, view: str, points: Sequence[models.PointStruct], **options: Any) -> Any:
        if self._meddle:
            self._meddle.pop(0)(self._client)
        self.upserts.append(len(points))
        return self._client.upsert(view, points, **options)

    def retrieve(self, *arguments: Any, **options: Any) -> Any:
        return self._client.retrieve(*arguments, **options)


def write_against(store: Store, points: Sequence[Point], *others: Point) -> tuple[list[Written], list[int]]:
    """Write `points`, planned before `others` were written, each of these just ahead of one upsert."""

    def run(client: QdrantClient) -> tuple[list[Written], list[int]]:
        meddling = Meddling(client, *(lambda inner, other=other: write(inner, VIEW, [other]) for other in others))
        return write(meddling, VIEW, points), meddling.upserts  # type: ignore[arg-type]

    return store.run_sync(run)


def test_what_a_shared_term_kept_out_is_written_by_itself(store: Store) -> None:
    """p2's own version is past the other writer's, but the threshold of both, 5, is not."""
    outcomes, upserts = write_against(store, [point("p1", 5), point("p2", 9)], point("p2", 7))

    assert outcomes == [Written.STORED, Written.STORED]
    assert upserts == [2, 1]
    assert (held(store, "p1").version, held(store, "p2").version) == (5, 9)


def test_a_batch_does_not_pass_a_newer_write_that_came_between(store: Store) -> None:
    outcomes, upserts = write_against(store, [point("p1", 5), point("p2", 9, images="a")], point("p2", 10, images="b"))

    assert outcomes == [Written.STORED, Written.OVERTAKEN]
    assert upserts == [2]
    assert vectors(store, "p2") == rounded([vector("b")])


def test_a_partial_write_of_the_same_event_that_came_between_is_completed(store: Store) -> None:
    outcomes, _ = write_against(store, [point(version=5, revision=34, images="ab")], point(version=5, revision=33))

    assert outcomes == [Written.STORED]
    assert held(store).revision == 34


def test_a_fuller_write_of_the_same_event_that_came_between_stays(store: Store) -> None:
    fuller = point(version=5, revision=34, images="ab")
    outcomes, _ = write_against(store, [point(version=5, revision=33)], fuller)

    assert outcomes == [Written.OVERTAKEN]
    assert len(vectors(store)) == 2


def test_a_batch_of_timestamps_is_one_request_and_one_read(store: Store) -> None:
    points = [point(f"p{number}", 1000 + number) for number in range(50)]

    assert write_against(store, points)[1] == [50]


def test_a_batch_of_counters_is_one_request_too(store: Store) -> None:
    put(store, *(point(f"p{number}", 1 + number) for number in range(50)))
    points = [point(f"p{number}", 2 + number, read=1 + number) for number in range(50)]

    assert write_against(store, points) == ([Written.STORED] * 50, [50])


def test_rewrites_at_their_own_versions_are_one_request_too(store: Store) -> None:
    points = [point(f"p{number}", 1 + number, number, read=1 + number) for number in range(50)]
    put(store, *points)

    assert write_against(store, points) == ([Written.STORED] * 50, [50])


@pytest.mark.parametrize("read", [0, 3])
def test_no_product_passes_by_the_terms_of_another(store: Store, read: int) -> None:
    """p1 was overtaken at 5; the terms of p2 and p3 would let it pass."""
    put(store, point("p1", 5, images="b"), point("p2", 8), point("p3", 7))

    outcomes = put(store, point("p1", 3, read=read), point("p2", 9, read=8), point("p3", 7, 1, read=7))

    assert outcomes == [Written.OVERTAKEN, Written.STORED, Written.STORED]
    assert vectors(store, "p1") == rounded([vector("b")])


def test_a_view_that_never_takes_a_write_is_an_error_that_names_the_product(store: Store) -> None:
    class Deaf(Meddling):
        def upsert(self, view: str, points: Sequence[models.PointStruct], **options: Any) -> None:
            self.upserts.append(len(points))

    def run(client: QdrantClient) -> list[int]:
        deaf = Deaf(client)
        with pytest.raises(WriteContention, match="p1"):
            write(deaf, VIEW, [point()])  # type: ignore[arg-type]
        return deaf.upserts

    assert len(store.run_sync(run)) == 1 + writer.MAX_ROUNDS - 1


# --- convergence ----------------------------------------------------------------------------------------------------

writes = st.lists(
    st.tuples(
        st.sampled_from(["p1", "p2", "p3"]),
        st.integers(1, 4),  # version
        st.integers(0, 5),  # revision
        st.integers(0, 5),  # the version that was stored when it was planned
        st.booleans(),  # a delete
    ),
    min_size=1,
    max_size=12,
)


@given(schedule=writes, seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_writes_in_any_order_and_any_batches_end_at_the_highest_version_and_revision(
    store: Store, schedule: list[tuple[str, int, int, int, bool]], seed: int
) -> None:
    def run(client: QdrantClient) -> None:
        client.delete_collection(VIEW)
        ensure_view(client, VIEW, DIMENSION, [])
        chance = random.Random(seed)
        waiting = [
            point(product, version, revision, read=read, deleted=deleted, images=f"{version}{revision}")
            for product, version, revision, read, deleted in schedule
        ]
        chance.shuffle(waiting)
        while waiting:
            batch = {entry.id: entry for entry in chance.sample(waiting, chance.randint(1, len(waiting)))}
            write(client, VIEW, list(batch.values()))
            waiting = [entry for entry in waiting if batch.get(entry.id) is not entry]

    store.run_sync(run)
    for product in {entry[0] for entry in schedule}:
        best = max((version, revision) for name, version, revision, _, _ in schedule if name == product)
        payload = held(store, product)
        assert payload.rank == best
        assert len(vectors(store, product)) == len(payload.encoded_images)
        if not payload.deleted:
            assert [entry.digest for entry in payload.encoded_images] == [digest(str(number)) for number in best]
            assert vectors(store, product) == rounded([vector(str(number)) for number in best])
