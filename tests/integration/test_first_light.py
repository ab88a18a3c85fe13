"""The whole path with real photos: published through Kafka, indexed, found by photo, deleted, not brought back."""

from __future__ import annotations

import csv
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.events import Event
from tests.harness import Installation, event, eventually, listing

SEARCHERS = 4


def test_2400_photos_are_indexed_found_by_themselves_and_gone_when_deleted(
    installation: dict[str, str], tmp_path: Path, clothing: Path
) -> None:
    shop = Installation(installation | {"FRESHLINE_IMAGE_ROOT": str(clothing)}, tmp_path)
    shop.setup()
    photos = sorted((clothing / "images").glob("*.jpg"))
    labels = {row["image"]: row["label"] for row in csv.DictReader((clothing / "labels.csv").read_text().splitlines())}
    lines = [listing(photo.stem, [photo.as_uri()], category=labels[photo.stem]).to_json().decode() for photo in photos]

    done = shop.run("publish", "-", stdin="\n".join(lines))
    assert done.returncode == 0, done.stderr

    with shop.worker() as worker, shop.serving() as url:
        start = datetime.now(UTC)
        eventually(shop.caught_up, within=240, what="all photos indexed")
        seconds = (datetime.now(UTC) - start).total_seconds()
        assert len(shop.payloads()) == worker.metric("freshline_events_total", outcome="indexed") == len(photos)
        assert not shop.dead_letters()

        _each_photo_finds_itself(url, photos)
        _deleted_products_stay_gone(shop, url, photos)
    print(f"{len(photos)} photos indexed in {seconds:.0f} s")
    shop.close()


def _each_photo_finds_itself(url: str, photos: list[Path]) -> None:
    with ThreadPoolExecutor(SEARCHERS) as pool:
        first = list(pool.map(lambda photo: search(url, photo)[0], photos))
    found = sum(hit["product_id"] == photo.stem or _same(photo, hit) for photo, hit in zip(photos, first, strict=True))
    print(f"{found} of {len(photos)} photos found themselves first")
    assert found >= 0.995 * len(photos)


def _same(photo: Path, hit: dict[str, Any]) -> bool:
    """Whether the hit is the very same photo, listed twice."""
    return photo.read_bytes() == photo.with_stem(hit["product_id"]).read_bytes()


def _deleted_products_stay_gone(shop: Installation, url: str, photos: list[Path]) -> None:
    gone = photos[::24]
    before = {photo.stem: payload(shop, photo.stem) for photo in gone}
    shop.publish(*(event("deleted", photo.stem) for photo in gone))
    eventually(shop.caught_up, what="the deletes")
    late = [listing(photo.stem, [photo.as_uri()], version=before[photo.stem]["version"] + 1) for photo in gone]
    shop.publish(*late)
    eventually(shop.caught_up, what="the late creates")

    for photo in gone:
        assert photo.stem not in {hit["product_id"] for hit in search(url, photo, limit=100)}
        with urllib.request.urlopen(f"{url}/v1/products/{photo.stem}") as answer:
            assert json.load(answer)["deleted"] is True
    assert {letter.reason.value for letter in shop.dead_letters()} == {"out_of_order"}
    assert len(shop.dead_letters()) == len(gone)


def payload(shop: Installation, product_id: str) -> dict[str, Any]:
    found = shop.payload(product_id)
    assert found is not None
    return found.model_dump()


def search(url: str, photo: Path, limit: int = 1) -> list[dict[str, Any]]:
    """The hits for a photo, by multipart as a browser sends it."""
    boundary = "-" * 20
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="q.jpg"\r\n\r\n'
    tail = f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="limit"\r\n\r\n{limit}\r\n--{boundary}--\r\n'
    request = urllib.request.Request(
        f"{url}/v1/search",
        data=head.encode() + photo.read_bytes() + tail.encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        results: list[dict[str, Any]] = json.load(answer)["results"]
    return results


@pytest.mark.parametrize("bad", ["{", '{"event_id": "x"}'])
def test_publish_names_each_bad_line_sends_the_good_ones_and_exits_1(
    shop: Installation, tmp_path: Path, bad: str
) -> None:
    file = tmp_path / "events.jsonl"
    good: list[Event] = [event("deleted", "a"), event("deleted", "b")]
    file.write_text("\n".join([good[0].to_json().decode(), bad, good[1].to_json().decode()]))

    done = shop.run("publish", str(file))

    assert done.returncode == 1
    assert "line 2: " in done.stderr
    assert "2 published, 1 refused" in done.stderr
    assert sum(high for _, high in shop.watermarks().values()) == 2
