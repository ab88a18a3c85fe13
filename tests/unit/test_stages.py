"""A picture on its way through the stages: what waits for what, and what is not done twice. On a real image host."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from encoders.pixels import decode
from encoders.session import ImageEncoder
from indexer.compose import Encoded
from indexer.decide import Change
from indexer.store import Store
from schemas.dead_letters import Reason
from schemas.events import Image
from stream.health import Health
from stream.images.fetched import Fetched
from stream.images.fetcher import ImageFetcher, ImageSettings
from stream.images.reuse import Reuse
from stream.metrics import Metrics
from stream.stages import ImageFailure, Stages, StageSettings
from tests.factories import VIEW, FakeEncoder, colour_vector, event, picture
from tests.harness import eventually
from tests.image_host import Hang, ImageHost, image_host

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with image_host() as served:
        served.etags = True
        yield served


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


def made(settings: StageSettings, store: Store, encoder: FakeEncoder) -> Stages:
    return Stages(
        settings,
        view=VIEW,
        store=store,
        fetcher=ImageFetcher(ImageSettings(allow_networks=LOOPBACK, connections_per_host=2)),
        encoder=cast(ImageEncoder, encoder),
        metrics=Metrics(CollectorRegistry(), view=VIEW, lane="live"),
        health=Health(),
    )


@pytest.fixture
async def stages(store: Store, encoder: FakeEncoder) -> AsyncIterator[Stages]:
    settings = StageSettings(images_at_once=4, images_waiting=2, decode_batch=8, batch_pause=0)
    async with made(settings, store, encoder) as opened:
        yield opened


def near(result: Encoded | ImageFailure, name: str) -> bool:
    assert isinstance(result, Encoded), result
    vector: Any = result.vector
    return bool(abs(vector - colour_vector(name)).max() < 1e-5)


async def test_what_is_unchanged_is_neither_sent_nor_encoded_again_unless_forced(
    stages: Stages, host: ImageHost, encoder: FakeEncoder
) -> None:
    image = Image(url=host.add("/a", picture("a")))
    first = await stages.image(image)
    again = await stages.image(image)
    assert near(first, "a")
    assert near(again, "a")
    assert (host.statuses, sum(encoder.batches)) == ({200: 1, 304: 1}, 1)

    assert near(await stages.image(image, force=True), "a")
    assert (host.statuses, sum(encoder.batches)) == ({200: 2, 304: 1}, 2)


async def test_the_same_bytes_at_another_place_are_not_encoded_again_and_others_are(
    stages: Stages, host: ImageHost, encoder: FakeEncoder
) -> None:
    urls = [host.add("/a", picture("a")), host.add("/b", picture("a"))]
    for url in urls:
        assert near(await stages.image(Image(url=url)), "a")
    assert sum(encoder.batches) == 1

    host.add("/a", picture("c"))
    assert near(await stages.image(Image(url=urls[0])), "c")
    assert sum(encoder.batches) == 2


async def test_pictures_that_wait_for_their_host_take_no_room_from_others(stages: Stages, host: ImageHost) -> None:
    host.tell(Hang())
    host.add("/a", picture("a"))
    stuck = [asyncio.create_task(stages.image(Image(url=host.url + "/a"))) for _ in range(50)]
    with image_host() as other:
        urls = [other.add(f"/{number}", picture(str(number))) for number in range(30)]
        async with asyncio.timeout(20):
            results = await asyncio.gather(*(stages.image(Image(url=url)) for url in urls))
    assert all(near(result, str(number)) for number, result in enumerate(results))
    assert not any(task.done() for task in stuck)
    host.heal()
    assert all(near(result, "a") for result in await asyncio.gather(*stuck))


async def test_all_room_is_free_again_after_any_end(stages: Stages, host: ImageHost, encoder: FakeEncoder) -> None:
    good, bad = host.add("/good", picture("a")), host.add("/bad", b"no picture")
    for number in range(6):  # more than there is room for
        failure = await stages.image(Image(url=bad))
        assert isinstance(failure, ImageFailure)
        assert failure.reason is Reason.IMAGE_UNSUPPORTED
        assert isinstance(await stages.image(Image(url=f"{host.url}/absent{number}")), ImageFailure)
        encoder.error = RuntimeError("no GPU")
        with pytest.raises(RuntimeError, match="no GPU"):
            await stages.image(Image(url=good))
        encoder.error = None
        cancelled = asyncio.create_task(stages.image(Image(url=good), force=True))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
    async with asyncio.timeout(20):
        for _ in range(6):
            assert near(await stages.image(Image(url=good), force=True), "a")


async def test_an_error_of_ours_in_one_picture_fails_that_one_alone(
    stages: Stages, host: ImageHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = picture("poison")

    def sometimes(data: bytes, **options: Any) -> Any:
        if data == poison:
            raise ZeroDivisionError
        return decode(data, **options)

    monkeypatch.setattr("stream.stages.decode", sometimes)
    urls = [host.add(f"/{name}", picture(name)) for name in ("a", "b", "poison", "c")]
    results = await asyncio.gather(*(stages.image(Image(url=url)) for url in urls), return_exceptions=True)

    assert [type(result) for result in results] == [Encoded, Encoded, ZeroDivisionError, Encoded]


async def test_requests_are_paced_by_late_events_only_while_pictures_take_all_the_room(
    store: Store, encoder: FakeEncoder, host: ImageHost
) -> None:
    """Paced they are rarer; here they are more frequent, which shows without waiting."""
    change, host.pictures["/a"] = Change(event(), 0), picture("a")
    host.tell(Hang())
    paced = StageSettings(batch_pause=60, late_seconds=10, late_pause=0, images_at_once=1)
    async with made(paced, store, encoder) as stages, asyncio.timeout(20):
        fetching = asyncio.create_task(stages.image(Image(url=host.url + "/a")))
        await asyncio.to_thread(eventually, lambda: host.requests["/a"])
        stages.heard(age_seconds=11)
        await stages.decide(change)
        await stages.decide(change)
        host.heal()
        await fetching
        stages.heard(age_seconds=11)
        await stages.decide(change)  # the one before it let it
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await stages.decide(change)


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    reuse = Reuse(20_000)
    for number in range(100):
        fetched = Fetched(b"", f"sha256:{number}", f'"{number}"')
        reuse.keep(f"http://a.test/{number}", fetched, np.zeros(100, np.float32))
        reuse.vector("sha256:0")
    kept = [number for number in range(100) if reuse.vector(f"sha256:{number}") is not None]

    assert kept == [0, *range(100 - len(kept) + 1, 100)]
    assert len(kept) == 10_000 // 800
    known = reuse.known(Image(url="http://a.test/99"))
    assert known
    assert known.etag == '"99"'
    assert reuse.known(Image(url="http://a.test/99", digest="sha256:" + "0" * 64)) is None
    assert reuse.known(Image(url="http://a.test/50")) is None
    nothing = Reuse(0)
    nothing.keep("http://a.test/1", Fetched(b"", "sha256:1", '"1"'), np.zeros(4, np.float32))
    assert nothing.vector("sha256:1") is None
