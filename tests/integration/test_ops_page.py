"""The page `/ops` in a real Chromium: what an operator sees in each state, on a desk and on phones."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from stream.monitor.state import OpsState
from tests import ops_states as states
from tests.axe import violations
from tests.browser import chromium, console_errors, requested, screen
from tests.harness import eventually
from tests.ops_server import OpsServer, ops_server
from tests.page import Page

IMAGES = Path(__file__).parents[2] / "docs" / "images"
STATES: dict[str, tuple[Callable[[], OpsState], str]] = {
    "fresh": (states.fresh, "Fresh: a product listed now is searchable in about 1.2 s."),
    "late": (states.late, "Late: the oldest event has waited 12 min."),
    "burning": (states.burning, "Burning: past the hour: the oldest event has waited 1 h 12 min."),
    "blind": (states.blind, "Blind: the monitor has no news since"),
    "stopped": (states.stopped, "Stopped: nobody works: what is listed now will wait."),
    "failing": (states.failing, "Failing: the canary did not get through “found”."),
    "unsure": (states.unsure, "Unsure: fresh as far as is known"),
    "empty": (states.empty, "Empty: there is no view yet."),
    "huge": (states.huge, "Burning: past the hour: the oldest event has waited 2 d 8 h."),
}
SCREENS = {"desk": (1280, 900), "wide": (1600, 1000), "phone": (390, 844), "narrow": (360, 640)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def ops(browser: Chrome) -> Iterator[tuple[OpsServer, Page]]:
    """A server of states and the page; at the end the console is clean and nothing was asked of anyone else."""
    screen(browser, *SCREENS["desk"])
    with ops_server() as server:
        yield server, Page(browser)
        browser.get("about:blank")
    assert console_errors(browser) == []
    assert [url for url in requested(browser) if not url.startswith((server.url, "data:", "about:"))] == []


def opened(ops: tuple[OpsServer, Page], state: OpsState) -> Page:
    server, page = ops
    server.state = state
    page.browser.get(server.url)
    eventually(lambda: page.text("#kind") not in ("", "Asking"), within=10, what="the sentence")
    return page


@pytest.mark.parametrize("name", STATES)
def test_each_state_says_its_sentence_and_fits_every_screen(ops: tuple[OpsServer, Page], name: str) -> None:
    state, sentence = STATES[name]
    page = opened(ops, state())
    assert page.text("#headline").startswith(sentence)
    for where, (width, height) in SCREENS.items():
        screen(page.browser, width, height, phone=width < 600)
        assert page.fits(), where
    assert page.browser.title == f"{sentence.split(':')[0]} · Freshline operations"


@pytest.mark.parametrize("name", STATES)
def test_axe_finds_nothing(ops: tuple[OpsServer, Page], name: str) -> None:
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("axe-core comes by npm (apt-get install npm)")
    state = STATES[name][0]()
    page = opened(ops, state.model_copy(update={"history": state.history[-20:]}))
    tables = "document.querySelectorAll('.plot details, .view:first-child .lane:first-child details')"
    page.browser.execute_script(f"for (const each of {tables}) each.open = true")
    for where, dark in (("desk", False), ("narrow", True), ("narrow", False), ("desk", True)):
        width, height = SCREENS[where]
        screen(page.browser, width, height, phone=width < 600, dark=dark)
        assert violations(page.browser) == [], f"{where}, {'dark' if dark else 'light'}"


def test_the_figures_of_views_lanes_and_panels(ops: tuple[OpsServer, Page]) -> None:
    page = opened(ops, states.fresh())
    parked = "17 events are parked for ill image hosts, the oldest for 4 min."
    assert page.text("#more") == f"{parked} A replay has 21,050 to go."
    serving, building = page.browser.find_elements(By.CSS_SELECTOR, ".view")
    assert states.SERVING in serving.text
    assert "48,212 points" in serving.text
    assert "Of 8 partitions, most in partition 6: 4 waiting" in serving.text
    assert "building" in building.text
    assert "in 20 min" in building.text
    assert re.search(r"Through 2\d s ago, in 2.4 s", page.text("#canaries"))
    assert page.text("#outcomes").startswith("indexed\n61.2 /s")
    assert "31 waiting" in page.text("#letters")
    assert "freshline dead-letters list --reason image_missing" in page.text("#letters")


def test_a_lane_without_workers_is_shouted_with_what_to_do(ops: tuple[OpsServer, Page]) -> None:
    page = opened(ops, states.burning())
    assert "No worker!\nfreshline worker --lane live" in page.text(".lane")
    assert "never" in page.text(".lane")
    assert "Kafka did not acknowledge within 10 s" in page.text("#canaries")


def test_what_it_is_told_is_only_ever_text(ops: tuple[OpsServer, Page]) -> None:
    page = opened(ops, states.huge())
    assert "<script>document.title='owned'</script>" in page.text(".view-name")
    assert page.browser.find_elements(By.CSS_SELECTOR, "main script, main img") == []


def test_a_monitor_that_fails_makes_it_blind_until_it_answers_again(ops: tuple[OpsServer, Page]) -> None:
    server, page = ops
    opened(ops, states.fresh())
    server.status = HTTPStatus.INTERNAL_SERVER_ERROR
    page.shows("#headline", "Blind: the monitor has no news since", within=20)
    assert "It answered 500 to this page." in page.text("#more")
    assert "48,212 points" in page.text(".view")  # what was known stays
    server.status, server.state = HTTPStatus.OK, "no JSON"
    page.shows("#more", "It can't be reached from here.", within=20)
    server.state = states.fresh()
    page.shows("#headline", "Fresh:", within=20)
    errors = console_errors(page.browser)
    assert errors
    assert all("500" in error for error in errors)


def test_a_monitor_that_never_answered(ops: tuple[OpsServer, Page]) -> None:
    server, page = ops
    server.status = HTTPStatus.SERVICE_UNAVAILABLE
    page.browser.get(server.url)
    page.shows("#headline", "Blind: the monitor does not answer.")
    (error,) = console_errors(page.browser)
    assert "503" in error


def test_a_refresh_keeps_focus_place_and_what_is_open(ops: tuple[OpsServer, Page]) -> None:
    server, page = ops
    opened(ops, states.fresh())
    page.click("#oldest summary")
    slider = page.browser.find_element(By.CSS_SELECTOR, ".lane .cursor")
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.text(".lane .said").startswith("In partition 2:")
    top = page.browser.execute_script("scrollTo(0, 400); return scrollY")
    server.state = states.late()
    page.shows("#headline", "Late:")
    assert page.browser.execute_script("return document.activeElement === arguments[0]", slider)
    assert page.browser.execute_script("return scrollY") == top
    assert page.text(".lane .said").startswith("In partition 2: 9,100 waiting")
    assert page.browser.find_element(By.CSS_SELECTOR, "#oldest details").get_attribute("open")
    assert page.browser.find_elements(By.CSS_SELECTOR, "#oldest tbody tr")


def test_plots_are_read_by_keyboard(ops: tuple[OpsServer, Page]) -> None:
    page = opened(ops, states.fresh())
    tab_order = []
    for _ in range(5):
        page.browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = "return document.activeElement.ariaLabel ?? document.activeElement.textContent"
        tab_order.append(page.browser.execute_script(focused))
    assert tab_order[1:4] == ["Pause", "Oldest waiting: move along it", "As a table: Oldest waiting"]
    slider = page.browser.find_element(By.CSS_SELECTOR, "#oldest .cursor")
    slider.send_keys(Keys.HOME)
    first = slider.get_attribute("aria-valuetext")
    assert first is not None
    assert first.endswith("oldest 600 ms")
    assert page.text("#rates .when") == page.text("#oldest .when") == first.split(": ")[0]  # one place for all plots
    assert "at most 39 s" in page.browser.execute_script("return document.querySelector('#oldest desc').textContent")


def test_it_can_be_paused(ops: tuple[OpsServer, Page]) -> None:
    server, page = ops
    opened(ops, states.fresh())
    page.click("#pause")
    page.shows("#asof", "Paused at")
    server.state = states.late()
    page.click("#pause")
    page.shows("#headline", "Late:")


def test_sixty_four_partitions_are_each_a_bar_and_a_row(ops: tuple[OpsServer, Page]) -> None:
    page = opened(ops, states.huge())
    assert len(page.browser.find_elements(By.CSS_SELECTOR, ".lane:first-child .bar")) == 3 * 64
    page.click(".lane summary")
    rows = page.browser.find_elements(By.CSS_SELECTOR, ".lane tbody tr")
    assert len(rows) == 64
    assert re.fullmatch(r"1 7,919 [\d hmin]+ not yet 0 1,007,919", rows[1].text), rows[1].text


@pytest.mark.skipif(not os.environ.get("FRESHLINE_SCREENSHOTS"), reason="make screenshots")
@pytest.mark.parametrize(("name", "where", "dark"), [("fresh", "desk", False), ("late", "phone", True)])
def test_screenshots(ops: tuple[OpsServer, Page], name: str, where: str, dark: bool) -> None:
    width, height = SCREENS[where]
    screen(ops[1].browser, width, height, phone=width < 600, dark=dark)
    page = opened(ops, STATES[name][0]())
    eventually(lambda: page.browser.find_elements(By.CSS_SELECTOR, "#rates .line"), what="the plots")
    shot = Image.open(io.BytesIO(page.browser.get_screenshot_as_png())).convert("RGB")
    shot.save(IMAGES / f"ops-{where}.png", optimize=True)
