"""One vector for several pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from indexer.pooling import pooled

ROWS = arrays(np.float32, st.tuples(st.integers(1, 6), st.just(4)), elements=st.floats(-1, 1, width=32))


def test_one_picture_is_its_own_mean() -> None:
    assert pooled([[0.6, 0.8]]).tolist() == pytest.approx([0.6, 0.8])


def test_several_meet_in_the_middle() -> None:
    assert pooled([[1, 0], [0, 1]]).tolist() == pytest.approx([0.5**0.5, 0.5**0.5])


def test_opposite_ones_leave_the_word_to_the_first() -> None:
    assert pooled([[1, 0], [-1, 0]]).tolist() == [1, 0]


@given(ROWS)
def test_it_has_length_one_whatever_the_order(rows: np.ndarray) -> None:
    rows = rows[np.linalg.norm(rows, axis=1) > 0.1]
    if not len(rows):
        return
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.linalg.norm(pooled(rows)) == pytest.approx(1, abs=1e-4)
    if np.linalg.norm(rows.mean(0)) > 0.01:
        assert pooled(rows[::-1]) == pytest.approx(pooled(rows), abs=1e-3)
