"""The real parts that tests run on: one local stack a session, and fresh topics and collections for each test."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from encoders.bundle import Bundle
from infra.local.stack import LocalStack
from tests.bundles import tiny_bundle
from tests.chaos.table import PROPERTY, table
from tests.harness import Installation, eventually
from tests.monitoring import MonitorProcess

# Whoever starts the tests in the background of a script has them ignore SIGINT, `nohup` has them ignore SIGHUP, and so
# do all processes that they start: those are to find them as a terminal gives them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def stack_tools() -> None:
    """What the local stack needs; in CI its absence is a failure, on a laptop without Java a skip that says so."""
    missing = [tool for tool in ("java", "mvn", "npm") if shutil.which(tool) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"the local stack needs {', '.join(missing)}")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, stack_tools: None) -> Iterator[LocalStack]:
    """A running local stack."""
    local = LocalStack(tmp_path_factory.mktemp("stack"))
    try:
        local.up()
        yield local
    finally:
        local.down(delete=True)


@pytest.fixture(scope="session")
def stack_env(stack: LocalStack) -> dict[str, str]:
    """The settings that make a Freshline process use the stack."""
    return stack.env()


@pytest.fixture
def installation(stack_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Settings of an installation of its own on the shared stack: prefix, alias, image root."""
    name = f"t{uuid.uuid4().hex[:8]}"
    return stack_env | {
        "FRESHLINE_TOPIC_PREFIX": f"{name}.",
        "FRESHLINE_ALIAS": name,
        "FRESHLINE_IMAGE_ROOT": str(tmp_path),
        "FRESHLINE_SESSION_TIMEOUT_SECONDS": "6",
    }


@pytest.fixture
def bundles(tmp_path: Path) -> tuple[Bundle, Bundle]:
    """Two models, of which each sees colours as the other doesn't."""
    return tiny_bundle(tmp_path / "old"), tiny_bundle(tmp_path / "new", name="other", channels=(2, 0, 1))


@pytest.fixture
def known_models() -> dict[str, str]:
    """The settings of `shop`'s models: the shipped one, unless a module has its own."""
    return {}


@pytest.fixture
def shop(installation: dict[str, str], tmp_path: Path, known_models: dict[str, str]) -> Iterator[Installation]:
    """An installation that is set up, and closed at the end."""
    opened = Installation(installation | known_models, tmp_path)
    opened.setup()
    yield opened
    opened.close()


@pytest.fixture
def monitor(shop: Installation) -> Iterator[MonitorProcess]:
    """A monitor of `shop`, ready, and killed at the end."""
    process = MonitorProcess(shop)
    try:
        eventually(process.ready, what="the monitor")
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="session")
def clothing() -> Path:
    """The folder of the 2,400 clothing photos, which are not part of this project."""
    folder = Path(os.environ.get("FRESHLINE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "clothing"
    if not (folder / "labels.csv").exists():
        pytest.skip(f"no photos in {folder} (FRESHLINE_TEST_DATA)")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of chaos, where scenarios ran; here, since who only hands out tests reads no other conftest."""
    ran = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    properties = [pair for report in ran if report.when == "call" for pair in report.user_properties]
    if rows := [cells for name, cells in properties if name == PROPERTY]:
        terminalreporter.section("chaos")
        terminalreporter.write(table(rows))
