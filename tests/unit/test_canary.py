"""The canary's rules: versions, pictures, steps, and who may see it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from encoders.session import ImageEncoder
from freshline.canary.compose import opened_canary
from freshline.canary.events import Versions, listing, withdrawal
from freshline.canary.metrics import CanaryMetrics
from freshline.canary.passage import Passage
from freshline.canary.pictures import CanaryError, Folder, Place, Served, draw, place_of
from freshline.canary.runner import CanaryRunner, CanarySettings, NoCanary
from freshline.canary.sight import Sight
from freshline.settings import Settings
from indexer.collections import ensure_view, view_name
from indexer.store import LOCAL, QdrantSettings, Store
from schemas.canary import CANARY
from schemas.events import check_version
from search.labelled import LabelError, read_gallery
from stream.kafka import KafkaSettings
from stream.monitor.state import CanaryState
from stream.publisher import Publisher, PublisherSettings
from tests.bundles import tiny_bundle
from tests.harness import free_port

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store(QdrantSettings(url=LOCAL))
    yield store
    store.close()


def settings_of(**fields: Any) -> Settings:
    return Settings(_env_file=None, **fields)


# --- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["timestamp", "counter"])
def test_a_version_is_of_its_scheme_and_above_all_before_it(scheme: Any) -> None:
    versions, restarted = Versions(scheme), Versions(scheme)
    first, second = versions.next(), versions.next()
    ahead = second + 1_000_000
    assert first < second
    assert versions.next(ahead) == ahead + 1
    assert restarted.next(first) > first
    for event in (listing("created", first, "file:///x.jpg?1"), withdrawal(second)):
        check_version(event, scheme, event.occurred_at)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_no_picture_is_like_another() -> None:
    first, second = draw(), draw()
    assert first != second
    assert Image.open(io.BytesIO(first)).size == (224, 224)


def test_a_folder_holds_one_picture_under_ever_new_urls(tmp_path: Path) -> None:
    place = Folder(tmp_path / "canary")
    urls = {place.put(bytes([number]), number) for number in range(3)}
    assert len(urls) == 3
    assert {file.name: file.read_bytes() for file in (tmp_path / "canary").iterdir()} == {"canary.jpg": b"\x02"}


def test_a_served_picture_is_there_from_the_start() -> None:
    place = Served("http://monitor:8090/")
    before = place.image("canary.jpg")
    assert before is not None
    assert before.startswith(b"\xff\xd8")
    assert place.put(b"new", 7) == "http://monitor:8090/canary/canary.jpg?7"
    assert place.image("canary.jpg") == b"new"
    assert place.image("../canary.jpg") is None


def test_the_settings_say_where_the_picture_lies(tmp_path: Path) -> None:
    assert place_of(settings_of()) is None
    default = place_of(settings_of(image_root=tmp_path))
    assert default is not None
    assert default.put(b"x", 1) == f"{(tmp_path / '.freshline-canary' / 'canary.jpg').as_uri()}?1"
    assert isinstance(place_of(settings_of(image_root=tmp_path, canary_images="https://monitor")), Served)
    with pytest.raises(CanaryError, match=r"^FRESHLINE_CANARY_IMAGES: /elsewhere is not below FRESHLINE_IMAGE_ROOT"):
        place_of(settings_of(image_root=tmp_path, canary_images="file:///elsewhere"))


# --- steps ------------------------------------------------------------------------------------------------------------


def passage_of(store: Store, registry: CollectorRegistry, deadline_seconds: float = 30) -> Passage:
    metrics = CanaryMetrics(registry)
    metrics.watch(["v"])
    return Passage(Sight(store, "v", None), metrics, deadline_seconds)


async def test_a_step_is_asked_for_until_it_is_as_it_should_be(store: Store) -> None:
    registry = CollectorRegistry()
    passage, answers = passage_of(store, registry), iter(["not yet", OSError("away"), None])

    async def look() -> str | None:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    await passage.step("indexed", look, since=time.monotonic() - 5)
    state = passage.state(None)
    assert list(state.steps) == ["indexed"]
    assert state.steps["indexed"] > 5
    assert state.failed_step is None
    assert state.last_success_ms is not None
    assert registry.get_sample_value("freshline_canary_failures_total", {"view": "v", "step": "indexed"}) == 0
    assert registry.get_sample_value("freshline_canary_seconds_count", {"view": "v", "step": "indexed"}) == 1
    assert registry.get_sample_value("freshline_canary_last_success_timestamp_seconds", {"view": "v"}) is not None


async def test_the_first_failure_names_its_step_and_what_was_seen_and_ends_the_passage(store: Store) -> None:
    registry = CollectorRegistry()
    passage = passage_of(store, registry, deadline_seconds=0.3)
    before = passage.state(None)

    async def wrong() -> str:
        raise OSError("Qdrant is away")

    async def unwanted() -> None:
        raise AssertionError("a step after a failed one is not taken")

    await passage.step("found", wrong)
    await passage.step("updated", unwanted)
    passage.fail("published", "later")
    state = passage.state(before)
    assert (state.failed_step, state.message) == ("found", "OSError: Qdrant is away; so it was for 0.3 s")
    assert state.last_success_ms == before.last_success_ms
    assert registry.get_sample_value("freshline_canary_failures_total", {"view": "v", "step": "found"}) == 1


def test_a_view_that_is_gone_is_reported_no_more() -> None:
    registry = CollectorRegistry()
    metrics = CanaryMetrics(registry)
    metrics.watch(["old", "new"])
    metrics.took("old", "indexed", 1)
    metrics.succeeded("old")
    metrics.watch(["new"])
    assert {sample.labels["view"] for metric in registry.collect() for sample in metric.samples} == {"new"}


# --- rounds -----------------------------------------------------------------------------------------------------------


async def test_a_broker_that_is_away_fails_the_round_in_every_view_as_published(store: Store, tmp_path: Path) -> None:
    encoder = ImageEncoder(tiny_bundle(tmp_path / "bundle"), threads=1)
    names = [view_name("products", encoder.space, 1), view_name("products", "0123456789ab", 2)]
    for name in names:
        store.run_sync(lambda client, name=name: ensure_view(client, name, 3, []))  # type: ignore[misc]
    states = await a_round(store, encoder, Folder(tmp_path))
    assert [(state.view, state.failed_step, state.steps) for state in states] == [
        (name, "published", {}) for name in sorted(names)
    ]
    assert all("created" in (state.message or "") for state in states)


async def test_a_picture_that_cannot_be_written_is_named(store: Store, tmp_path: Path) -> None:
    encoder = ImageEncoder(tiny_bundle(tmp_path / "bundle"), threads=1)
    store.run_sync(lambda client: ensure_view(client, view_name("products", encoder.space, 1), 3, []))
    (tmp_path / "file").touch()
    (state,) = await a_round(store, encoder, Folder(tmp_path / "file"))
    assert state.failed_step == "published"
    assert state.message is not None
    assert state.message.startswith("the picture can't be written: ")


async def a_round(store: Store, encoder: ImageEncoder, place: Place) -> list[CanaryState]:
    """Without a broker."""
    publisher = Publisher(PublisherSettings(KafkaSettings(brokers=f"127.0.0.1:{free_port()}")))
    settings = CanarySettings("products", deadline_seconds=0.3)
    runner = CanaryRunner(
        settings,
        store=store,
        encoders=lambda _: encoder,
        publisher=publisher,
        place=place,
        registry=CollectorRegistry(),
    )
    try:
        await runner.round()
    finally:
        publisher.close()
    return runner.states()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({}, "FRESHLINE_CANARY_IMAGES"), ({"canary_interval_seconds": 0}, "FRESHLINE_CANARY_INTERVAL_SECONDS is 0")],
)
def test_a_canary_that_is_off_says_why(fields: dict[str, Any], reason: str) -> None:
    with opened_canary(settings_of(**fields), CollectorRegistry()) as canary:
        assert isinstance(canary, NoCanary)
        (state,) = canary.states()
    assert reason in (state.message or "")


# --- who may see it ---------------------------------------------------------------------------------------------------


def test_no_gallery_holds_it(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(draw())
    table = tmp_path / "products.csv"
    table.write_text(f"image,product\na.jpg,{CANARY}\n")
    with pytest.raises(LabelError, match=r"line 2: product: 'freshline-canary' is reserved for the canary"):
        read_gallery(table)
