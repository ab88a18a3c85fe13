"""`freshline replay` on real Kafka and Qdrant: what is chosen, what it comes to, stopping and going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from schemas.events import Event
from stream.replaying.cursor import running_replays
from tests.chaos.judge import payload_digest, read_view
from tests.harness import FRESHLINE, Installation, WorkerProcess, draw, event, eventually, listing

PRODUCTS = 40


def replayed(shop: Installation, *options: str, status: int = 0) -> dict[str, Any]:
    """The report of a run to its end."""
    done = shop.run("replay", *options, "--json")
    assert done.returncode == status, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in report["counts"].items() if count}


def wipe(shop: Installation) -> None:
    """The view forgets all that it holds."""
    view, everything = shop.view, models.FilterSelector(filter=models.Filter())
    shop.store.run_sync(lambda client: client.delete(view, everything, wait=True))


@pytest.fixture
def catalogue(shop: Installation, tmp_path: Path) -> list[Event]:
    """Mugs and shoes that are indexed: 40 products, of which the last is deleted."""
    pictures = [draw(tmp_path / f"{number}.jpg", number) for number in range(4)]
    names = [(f"{'mug' if number % 2 else 'shoe'}-{number}", pictures[number % 4]) for number in range(PRODUCTS)]
    events = [listing(name, [url], category=name.split("-")[0]) for name, url in names]
    events.append(event("deleted", names[-1][0]))
    shop.publish(*events)
    with shop.worker() as worker:
        eventually(shop.caught_up, what="all indexed")
        assert worker.stop() == 0
    return events


@pytest.fixture
def lane(shop: Installation) -> Iterator[WorkerProcess]:
    """A worker of the replay lane."""
    with shop.worker("replay") as worker:
        eventually(worker.ready)
        yield worker


def test_the_whole_topic_restores_a_view_and_a_second_time_changes_nothing(
    shop: Installation, catalogue: list[Event], lane: WorkerProcess
) -> None:
    before = payload_digest(read_view(shop))
    wipe(shop)

    first = replayed(shop, "--all")
    assert first["counts"]["indexed"] + first["counts"]["overtaken"] == len(catalogue)
    assert first["counts"]["overtaken"] <= 1  # the create of the product that is deleted
    assert first["plan"]["events"] == len(catalogue)
    assert payload_digest(read_view(shop)) == before

    assert counts(replayed(shop, "--all")) == {"already_there": len(catalogue)}
    assert payload_digest(read_view(shop)) == before
    assert running_replays(shop.settings.kafka(), shop.settings.topics) == []


def test_products_categories_offsets_and_times_choose(
    shop: Installation, catalogue: list[Event], lane: WorkerProcess, tmp_path: Path
) -> None:
    wipe(shop)
    assert counts(replayed(shop, "--product", "mug-1", "--product", "shoe-2")) == {"indexed": 2}
    assert shop.payloads().keys() == {"mug-1", "shoe-2"}

    file = tmp_path / "ids.txt"
    file.write_text("mug-3\n\nmug-5\nmug-5\nnobody\n")
    assert counts(replayed(shop, "--products", str(file))) == {"indexed": 2}

    shoes = [each for each in catalogue if each.product and each.product.category == "shoe"]
    assert counts(replayed(shop, "--category", "shoe")) == {"already_there": 1, "indexed": len(shoes) - 1}
    assert set(shop.payloads()) == {each.product_id for each in shoes} | {"mug-1", "mug-3", "mug-5"}

    low, high = max(shop.watermarks().values(), key=lambda span: span[1])
    partition = next(number for number, span in shop.watermarks().items() if span == (low, high))
    assert sum(counts(replayed(shop, "--offsets", f"{partition}:1-3")).values()) == 2

    moment = datetime.now(UTC).isoformat()
    shop.publish(listing("late", [catalogue[0].images[0].url]))
    assert counts(replayed(shop, "--since", moment)) == {"indexed": 1}
    until = replayed(shop, "--until", moment, "--dry-run")
    assert until["plan"]["events"] == len(catalogue)


def test_a_dry_run_sends_nothing_and_leaves_nothing(shop: Installation, catalogue: list[Event]) -> None:
    wipe(shop)
    plan = replayed(shop, "--all", "--dry-run", "--name", "never")["plan"]
    assert plan["events"] == len(catalogue)
    assert plan["pictures_to_encode"] > 0
    assert plan["estimated_seconds"] > 0
    assert shop.records(shop.settings.topics.replay) == []
    assert running_replays(shop.settings.kafka(), shop.settings.topics) == []


def test_force_encodes_what_is_encoded_and_says_so(
    shop: Installation, catalogue: list[Event], lane: WorkerProcess
) -> None:
    before = read_view(shop)
    report = replayed(shop, "--category", "shoe", "--force")
    assert counts(report) == {"indexed": PRODUCTS // 2}
    after = read_view(shop)
    assert payload_digest(after) == payload_digest(before)
    for name, held in after.items():
        assert (held.payload.indexed_at > before[name].payload.indexed_at) == name.startswith("shoe")


def test_dead_letters_are_counted_and_replayed_once_mended(
    shop: Installation, lane: WorkerProcess, tmp_path: Path
) -> None:
    good, lost = draw(tmp_path / "good.jpg", 1), tmp_path / "lost.jpg"
    shop.publish(listing("whole", [good]), listing("half", [good, lost.as_uri()]), listing("none", [lost.as_uri()]))
    with shop.worker() as worker:
        eventually(shop.caught_up)
        assert worker.stop() == 0

    again = replayed(shop, "--all", status=1)
    assert counts(again) == {"already_there": 1, "dead_letters": 2}
    assert again["ok"] is False
    assert counts(replayed(shop, "--dead-letters", status=1)) == {"dead_letters": 2}

    draw(lost, 2)
    assert counts(replayed(shop, "--dead-letters")) == {"indexed": 2}
    assert counts(replayed(shop, "--dead-letters")) == {}
    assert len(shop.payloads()["half"].encoded_images) == 2


def test_what_a_reconciliation_finds_is_replayed(
    shop: Installation, catalogue: list[Event], lane: WorkerProcess
) -> None:
    view = shop.view
    gone = [models.FieldCondition(key="product_id", match=models.MatchAny(any=["mug-1", "shoe-4"]))]
    shop.store.run_sync(
        lambda client: client.delete(view, models.FilterSelector(filter=models.Filter(must=gone)), wait=True)
    )
    assert counts(replayed(shop, "--reconcile")) == {"indexed": 2}
    assert counts(replayed(shop, "--reconcile")) == {}


def test_without_a_worker_it_says_so_and_ctrl_c_leaves_a_replay_that_its_name_resumes(
    shop: Installation, catalogue: list[Event]
) -> None:
    failed = shop.run("replay", "--all", "--no-wait", "--name", "hopeless")
    assert failed.returncode == 1
    assert "freshline worker --lane replay" in failed.stderr
    assert shop.run("replay", "--forget", "hopeless").returncode == 0

    wipe(shop)
    command = [FRESHLINE, "replay", "--all", "--name", "mine", "--outstanding", "10"]
    with subprocess.Popen(command, env=os.environ | shop.env, stderr=subprocess.PIPE, text=True) as process:
        topic = shop.settings.topics.replay
        eventually(lambda: sum(high for _, high in shop.watermarks(topic).values()) == 10, what="10 outstanding")
        taken = shop.run("replay", "--all", "--name", "mine")
        assert "is running" in taken.stderr
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "freshline replay --name mine" in said

    (stopped,) = running_replays(shop.settings.kafka(), shop.settings.topics)
    assert (stopped.name, stopped.running, stopped.planned, stopped.view) == ("mine", False, len(catalogue), shop.view)
    other = shop.run("replay", "--category", "mug", "--name", "mine")
    assert other.returncode == 1
    assert "--all" in other.stderr

    with shop.worker("replay") as worker:
        report = replayed(shop, "--name", "mine")
        assert sum(report["counts"].values()) == len(catalogue)
        assert worker.stop() == 0
    assert len(shop.payloads()) == PRODUCTS


def test_wrong_options_are_named(shop: Installation, tmp_path: Path) -> None:
    for options, word in {
        (): "say what to replay",
        ("--all", "--dead-letters"): "no other choice",
        ("--offsets", "0:5-2"): "0:5-2",
        ("--offsets", "99:0-"): "no partition 99",
        ("--products", str(tmp_path / "nothing.txt")): "nothing.txt",
        ("--name", "unheard"): "no replay 'unheard'",
        ("--all", "--name", "a/b"): "--name",
        ("--since", "1h", "--until", "2h"): "--since",
    }.items():
        done = shop.run("replay", *options)
        assert done.returncode != 0
        assert word in done.stderr, (options, done.stderr)
        assert "Traceback" not in done.stderr
