"""The real code over random schedules, against what the write protocol promises: the highest (version, offset) wins.

FRESHLINE_MODEL_OPERATIONS=200000 FRESHLINE_MODEL_SEED=1 pytest -s tests/unit/test_protocol.py
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pytest
from qdrant_client import QdrantClient, models

from tests import protocol_model
from tests.protocol_world import make_views, play

OPERATIONS = int(os.environ.get("FRESHLINE_MODEL_OPERATIONS", "2000"))
FIRST_SEED = int(os.environ.get("FRESHLINE_MODEL_SEED", str(random.SystemRandom().randrange(10**6) * 1000)))
MODEL_SECONDS = 2.0


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.timeout(0 if OPERATIONS > 10_000 else 300)
def test_whatever_happens_each_view_ends_at_the_newest_events() -> None:
    client = QdrantClient(location=":memory:")
    operations: Counter[str] = Counter()
    seed = FIRST_SEED
    while operations.total() < OPERATIONS:
        make_views(client)
        found = play(client, seed, operations)
        assert not found, f"FRESHLINE_MODEL_SEED={seed}: {found}"
        seed += 1
    client.close()
    print(f"{operations.total()} operations in {seed - FIRST_SEED} schedules from seed {FIRST_SEED}: 0 divergences")
    print(dict(operations.most_common()))


@pytest.mark.parametrize("rule", ["guard", "_any"])
def test_without_a_guard_a_divergence_is_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this found nothing, the test above could not either."""
    monkeypatch.setattr(f"indexer.writer.{rule}", lambda *_: models.Filter())
    client = QdrantClient(location=":memory:")
    make_views(client)

    assert any(play(client, seed, Counter()) for seed in range(400))
    client.close()


def test_the_model_of_the_protocol_finds_no_violation() -> None:
    end, count = time.monotonic() + MODEL_SECONDS, 0
    while time.monotonic() < end or count == 0:
        seed = FIRST_SEED + count
        model = protocol_model.Model(seed)
        assert not list(model.run(model.random.choice([60, 120, 240]))), f"FRESHLINE_MODEL_SEED={seed}"
        count += 1
    print(f"{count} schedules of the model from seed {FIRST_SEED}: no violation")


def test_the_model_finds_the_violation_of_a_rule_that_is_left_out() -> None:
    """Without the guard: if this found nothing, the tests above could not either."""

    class Careless(protocol_model.Model):
        def write(self, worker: protocol_model.Worker, task: protocol_model.Task) -> None:
            worker.view.points.pop(task["event"]["product"], None)
            super().write(worker, task)

    assert any(list(Careless(seed).run(240)) for seed in range(300))
