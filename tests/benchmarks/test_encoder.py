"""`freshline bench encoder`, small: that it measures what it says. What it measures is never asserted."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

from freshline.bench.encoder_report import LABELS, OURS, PEERS
from tests.harness import freshline

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None and "CI" not in os.environ, reason="PyTorch is not installed"
)

SMALL = ["bench", "encoder", "--model", "freshline/tower", "--pictures", "40", "--rounds", "2"]


def test_it_measures_every_way_and_watches_memory() -> None:
    done = freshline(*SMALL, "--soak", "600", "--json", env={})
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    (model,) = figures["models"]

    assert (model["model"], model["size"], model["dimension"]) == ("freshline/tower", 112, 128)
    assert model["per_second"].keys() == LABELS.keys() - set(PEERS)
    assert model["ahead"].keys() == LABELS.keys() - {OURS, *PEERS}
    assert model["cpu_ms"].keys() == model["per_second"].keys()
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in model["seconds"].values())
    assert figures["memory"]["peak"] >= figures["memory"]["end"] > 0
    assert figures["memory"]["events"] == 540


@pytest.mark.parametrize(
    ("python", "message"),
    [(sys.executable, "No module named 'fastembed'"), ("/absent/python", "No such file")],
)
def test_a_peer_that_cannot_run_is_an_error_with_its_own_words(python: str, message: str, tmp_path: Path) -> None:
    done = freshline(*SMALL, "--peer", python, env={"TMPDIR": str(tmp_path)})

    assert done.returncode == 1
    assert f"{python}: " in done.stderr
    assert message in done.stderr
    assert list(tmp_path.glob("freshline-bench-*")) == []
