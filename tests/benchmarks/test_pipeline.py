"""`freshline bench pipeline`, small: that it measures and leaves nothing behind. What it measures is never asserted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.harness import FRESHLINE, eventually

pytestmark = pytest.mark.usefixtures("stack_tools")

SMALL = ["bench", "pipeline", "--pictures", "60", "--rounds", "3"]


def left_over(folder: Path) -> list[str]:
    """The processes that name the folder or run in it."""
    found = []
    for process in psutil.process_iter():
        try:
            mentions = [process.cwd(), *process.cmdline()]
        except psutil.Error:
            continue
        found += [str(process) for mention in mentions if str(folder) in mention]
    return found


def test_it_measures_all_that_it_promises_and_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    plot = tmp_path / "plot.svg"
    done = subprocess.run(
        [FRESHLINE, *SMALL, "--json", "--plot", str(plot)],
        env=os.environ | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)

    assert figures["pictures"]["stage_seconds"].keys() == {
        *("consume, settle", "decide", "fetch", "decode", "encode", "write")
    }
    assert figures["payloads"]["stage_seconds"].keys() == {"consume, settle", "decide", "write"}
    for kind in ("pictures", "payloads"):
        assert figures[kind]["per_second"] > 0
        assert figures[kind]["efficiency"] > 0
    assert figures["encoder_per_second"] > 0
    assert figures["payload_ratio"] > 0
    assert figures["memory"]["peak"] >= figures["memory"]["end"] > 0
    assert plot.read_bytes().startswith(b"<?xml")
    assert list(temporary.iterdir()) == []
    assert left_over(temporary) == []


def test_interrupted_it_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [FRESHLINE, *SMALL],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: any(tmp_path.glob("freshline-bench-*/stack/qdrant/storage")), what="the stack to start")
    process.send_signal(signal.SIGTERM)
    process.wait(60)

    assert list(tmp_path.iterdir()) == []
    assert left_over(tmp_path) == []
