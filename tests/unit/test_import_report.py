"""How long a lag grew, from looks at it."""

from __future__ import annotations

import pytest

from freshline.bench.imports_report import longest_growth


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([], 0),
        ([5, 5, 5], 0),
        ([0, 1, 2, 0], 2),
        ([9, 1, 1, 2, 2], 3),
        ([0, 1, 0, 1, 2, 3, 0], 3),
        ([3, 2, 1], 0),
    ],
)
def test_the_longest_growth_is_the_longest_stretch_that_never_falls_and_ends_higher(
    values: list[float], seconds: float
) -> None:
    assert longest_growth(list(enumerate(values))) == seconds
