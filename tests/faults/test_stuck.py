"""A worker that hangs ends itself and says where; one that waits for somebody else does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from infra.local.stack import LocalStack
from tests.harness import Installation, draw, eventually, free_port, listing
from tests.image_host import Hang, image_host

STUCK = {"FRESHLINE_STUCK_SECONDS": "8", "FRESHLINE_DRAIN_SECONDS": "1"}


@pytest.mark.parametrize(("what", "place"), [("encoder", "in hang_in_the_encoder"), ("loop", "in hang_in_the_loop")])
def test_a_worker_that_hangs_ends_itself_with_its_stacks_and_another_does_its_work(
    shop: Installation, tmp_path: Path, what: str, place: str
) -> None:
    shop.publish(listing("shoe", [draw(tmp_path / "shoe.jpg", 1)]))
    env = os.environ | shop.env | STUCK | {"FRESHLINE_METRICS_PORT": str(free_port())}

    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.stuck_worker", what],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )

    assert done.returncode > 0, done.stderr
    assert place in done.stderr
    assert '"event": "stuck"' in done.stderr
    assert "asyncio tasks" in done.stderr
    if what == "encoder":
        assert "Batcher.encode" in done.stderr or "encode (batcher.py" in done.stderr
        assert shop.payload("shoe") is None

    with shop.worker() as worker:
        eventually(lambda: shop.payload("shoe"), within=120, what="the event, by the next worker")
        eventually(shop.caught_up)
        assert worker.stop() == 0


def test_a_worker_that_is_delivered_nothing_although_there_is_something_says_so_and_ends_itself(
    shop: Installation, tmp_path: Path
) -> None:
    """Its consumer keeps its partitions, and no event is in flight: only the broker knows that one waits."""
    shop.publish(listing("shoe", [draw(tmp_path / "shoe.jpg", 1)]))
    port, said = free_port(), tmp_path / "worker.log"
    command = [sys.executable, "-m", "tests.faults.stuck_worker", "consumer"]
    env = os.environ | shop.env | STUCK | {"FRESHLINE_METRICS_PORT": str(port)}

    with (
        said.open("wb") as log,
        subprocess.Popen(command, env=env, stderr=log) as worker,
    ):
        try:
            eventually(lambda: _waits_for(port) == ["lag"], what="not ready")
            assert worker.wait(60) > 0
        finally:
            worker.kill()

    assert "records wait, but none was delivered" in said.read_text()
    assert "asyncio tasks" in said.read_text()
    assert shop.payload("shoe") is None


def test_an_image_host_that_never_answers_makes_no_worker_stuck(shop: Installation, tmp_path: Path) -> None:
    """Its pictures' deadlines are longer than what is left to a worker without headway, and yet come in between."""
    picture = Path(draw(tmp_path / "any.jpg", 1).removeprefix("file://")).read_bytes()
    env = STUCK | {
        "FRESHLINE_IMAGE_ALLOW_NETWORKS": "127.0.0.0/8",
        "FRESHLINE_IMAGE_TIMEOUT_SECONDS": "0.5",
        "FRESHLINE_IMAGE_CONNECTIONS_PER_HOST": "1",
    }
    with image_host() as host:
        host.tell(Hang())
        shop.publish(*(listing(f"p{n}", [host.add(f"/{n}.jpg", picture)]) for n in range(12)))
        with shop.worker(**env) as worker:
            eventually(lambda: worker.metric("freshline_events_total", outcome="parked") == 12, what="all parked")
            eventually(shop.caught_up)
            assert worker.stop() == 0
            assert '"stuck"' not in worker.log.read_text()


def test_during_an_outage_a_worker_waits_for_the_part_and_is_not_stuck(
    mended: LocalStack, shop: Installation, tmp_path: Path
) -> None:
    with shop.worker(**STUCK) as worker:
        eventually(worker.ready)
        mended.kill("qdrant")
        shop.publish(listing("shoe", [draw(tmp_path / "shoe.jpg", 1)]))
        eventually(lambda: _waits_for(worker.port) == ["qdrant"], what="not ready")
        until = time.monotonic() + 2 * float(STUCK["FRESHLINE_STUCK_SECONDS"])
        while time.monotonic() < until:
            assert not worker.exited(within=0.2), worker.log.read_text()
            assert _waits_for(worker.port) == ["qdrant"]
            assert worker.metric("freshline_stuck") == 0
        mended.start("qdrant")
        eventually(shop.caught_up)
        assert _waits_for(worker.port) == []
        assert worker.stop() == 0


def test_a_worker_that_was_stopped_for_a_while_was_not_stuck(shop: Installation, tmp_path: Path) -> None:
    with shop.worker(**STUCK) as worker:
        eventually(worker.ready)
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(float(STUCK["FRESHLINE_STUCK_SECONDS"]) + 2)  # as if the machine slept
        worker.process.send_signal(signal.SIGCONT)
        shop.publish(listing("shoe", [draw(tmp_path / "shoe.jpg", 1)]))
        eventually(lambda: shop.payload("shoe"))
        assert worker.stop() == 0


def _waits_for(port: int) -> list[str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            said = json.load(answer)
    except urllib.error.HTTPError as error:
        said = json.load(error)
    except urllib.error.URLError:
        return ["its own start"]
    return list(said["waits_for"])
