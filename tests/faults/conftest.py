"""What the fault tests share: a stack that is whole again, and scenarios that come to rows of a table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local.stack import LocalStack
from tests.chaos.scenario import Scenario
from tests.chaos.table import PROPERTY, Row
from tests.harness import Installation


@pytest.fixture
def mended(stack: LocalStack) -> Iterator[LocalStack]:
    """The shared stack, whole again at the end."""
    yield stack
    stack.up()


@pytest.fixture
def scenario(shop: Installation, request: pytest.FixtureRequest) -> Scenario:
    """A scenario on an installation of its own; what it comes to is a row of the table."""

    def note(row: Row) -> None:
        request.node.user_properties.append((PROPERTY, row.cells()))

    return Scenario(shop, note)
