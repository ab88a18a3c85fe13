"""What the fault tests share: a stack that is whole again, and the table of what they came to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local.stack import LocalStack
from tests.chaos.scenario import Scenario
from tests.chaos.table import Row, table
from tests.harness import Installation

ROWS: pytest.StashKey[list[Row]] = pytest.StashKey()


@pytest.fixture
def mended(stack: LocalStack) -> Iterator[LocalStack]:
    """The shared stack, whole again at the end."""
    yield stack
    stack.up()


@pytest.fixture
def scenario(shop: Installation, request: pytest.FixtureRequest) -> Scenario:
    """A scenario on an installation of its own; what it comes to is a row of the table."""
    return Scenario(shop, request.config.stash.setdefault(ROWS, []).append)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if rows := config.stash.get(ROWS, []):
        terminalreporter.section("chaos")
        terminalreporter.write(table(rows))
