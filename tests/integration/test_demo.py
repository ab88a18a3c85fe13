"""`freshline demo` as its users run it: told to its end, interrupted, with their own photos, in a browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By

from encoders.training.drawing import photo, random_product
from freshline.demo import drawn
from tests.browser import chromium, console_errors, requested, screen
from tests.bundles import tiny_bundle
from tests.drawn_shop import jpeg
from tests.harness import FRESHLINE, eventually
from tests.page import Page

SCREEN_LINES = 40


class Demo:
    """A running demo, whose processes and files can be told from all others."""

    def __init__(self, folder: Path, cache: Path, *arguments: str, terminal: int | None = None, **env: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._mark = uuid.uuid4().hex
        own = {"TMPDIR": str(self.temporary), "FRESHLINE_DEMO_MARK": self._mark, "XDG_CACHE_HOME": str(cache)}
        self._log = folder / "demo.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [FRESHLINE, "demo", *arguments],
                env=os.environ | own | env,
                stdout=terminal or log,
                stderr=terminal or log,
                cwd=folder,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def says(self, text: str) -> None:
        """Wait until it has said so."""
        eventually(lambda: text in self.output or self.process.poll() is not None, what=f"{text!r} from the demo")
        assert text in self.output

    def ended(self) -> int:
        """Its exit status; nothing of it is left, neither processes nor files."""
        status = self.process.wait(60)
        assert "Traceback" not in self.output
        assert self._processes() == []
        assert list(self.temporary.iterdir()) == []
        return status

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.ended()

    def kill(self) -> None:
        for process in self._processes():
            process.kill()
        self.process.wait()

    def _processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._mark in _environment(process)]


def _environment(process: psutil.Process) -> str:
    try:
        return process.environ().get("FRESHLINE_DEMO_MARK", "")
    except psutil.Error:
        return ""


Start = Callable[..., Demo]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where drawn pictures are kept, for all tests of this module."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def start(tmp_path: Path, cache: Path) -> Iterator[Start]:
    """Starts a demo on a free port; what is left of it at the end is killed."""
    started: list[Demo] = []

    def begin(*arguments: str, **options: Any) -> Demo:
        folder = tmp_path / f"demo-{len(started)}"
        folder.mkdir()
        started.append(
            Demo(folder, cache, *(arguments if "--port" in arguments else ("--port", "0", *arguments)), **options)
        )
        return started[-1]

    yield begin
    for demo in started:
        demo.kill()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of a few photos of one's own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, kind in enumerate(("mug", "shoe", "lamp", "chair")):
        photo(random_product(600 + number, kind)).save(folder / f"my_{kind}.jpg", quality=92)
    return folder


def _tells_the_story(demo: Demo, products: int, *, words: bool = True) -> None:
    assert demo.ended() == 0, demo.output
    lines = demo.output.splitlines()
    assert len(lines) <= SCREEN_LINES
    assert max(map(len, lines)) <= 80
    assert f"✓ {products} products fetched, encoded and searchable" in demo.output
    assert demo.output.count("◄ this one") == (3 if words else 2)
    assert re.search(r"p50 \d+\.\d\d s +p99 \d+\.\d\d s", demo.output)
    assert "✓ All of this was checked, and is as it should be." in lines


def test_the_story_on_the_embedded_stack(start: Start) -> None:
    demo = start("--exit")
    _tells_the_story(demo, drawn.PRODUCTS)
    assert "now 96.72 EUR" in demo.output


@pytest.mark.usefixtures("stack_tools")
def test_the_story_on_real_kafka_and_qdrant(start: Start) -> None:
    _tells_the_story(start("--stack", "local", "--exit"), drawn.PRODUCTS)


def test_photos_of_ones_own(start: Start, photos: Path) -> None:
    (photos / "notes.jpg").write_text("milk, bread")
    before = {file.name: file.read_bytes() for file in photos.iterdir()}

    demo = start("--catalog", str(photos), "--exit")

    _tells_the_story(demo, products=4, words=False)
    assert "left out: notes.jpg: image: notes.jpg: neither JPEG, PNG nor WebP" in demo.output
    assert {file.name: file.read_bytes() for file in photos.iterdir()} == before


def test_photos_that_are_all_broken(start: Start, photos: Path) -> None:
    for file in photos.iterdir():
        file.write_bytes(file.read_bytes()[:60])

    demo = start("--catalog", str(photos), "--exit")

    assert demo.ended() == 1
    assert f"error: {photos}: no product can be used" in demo.output
    assert "my_mug.jpg: image: my_mug.jpg: " in demo.output


def test_a_model_that_does_not_find_the_product_is_said(start: Start, tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "colours")  # sees no more of a picture than its mean colour

    demo = start("--exit", FRESHLINE_BUNDLE=str(tmp_path / "colours"))

    assert demo.ended() == 1
    hero = drawn.file_name(drawn.HERO)
    assert f"✗ the shopper's photo did not find {hero} first" in demo.output
    assert "as it should be" not in demo.output


def test_a_picture_that_is_lost_is_said(start: Start, photos: Path) -> None:
    demo = start("--catalog", str(photos), "--exit")
    (staged,) = eventually(lambda: list(demo.temporary.glob("*/pictures/000003.jpg")), what="the last picture")
    demo.says("✓ 4 products of")
    staged.unlink()  # while the worker joins its group

    assert demo.ended() == 1
    assert "✗ 3 products were indexed, not 4" in demo.output
    assert "✗ dead letter: my_shoe.jpg: file:///" in demo.output


def test_interrupted_while_it_starts(start: Start, photos: Path) -> None:
    demo = start("--catalog", str(photos))
    demo.says("✓ 4 products of")
    assert demo.end(signal.SIGINT) == 130
    assert demo.output.endswith("Ended early. Nothing is left running.\n")


@pytest.mark.usefixtures("stack_tools")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_interrupted_while_kafka_starts(start: Start, photos: Path, number: signal.Signals) -> None:
    demo = start("--stack", "local", "--catalog", str(photos))
    eventually(lambda: list(demo.temporary.glob("*/stack/kafka/*")), what="Kafka being started")
    assert demo.end(number) == 130
    assert demo.output.endswith("Ended early. Nothing is left running.\n")


def test_a_terminal_that_is_closed(start: Start, photos: Path) -> None:
    ours, its = os.openpty()
    demo = start("--catalog", str(photos), terminal=its)
    os.close(its)
    shown = b""
    while b"products of" not in shown:
        shown += os.read(ours, 4096)
    os.close(ours)
    demo.ended()


def test_interrupted_while_it_stays_up(start: Start, photos: Path) -> None:
    demo = start("--catalog", str(photos))
    demo.says("The page  http://127.0.0.1:")
    assert demo.end(signal.SIGINT) == 0
    assert demo.output.endswith("Goodbye. Nothing is left running.\n")


def test_a_port_that_is_taken(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = start("--port", str(port))
        assert demo.ended() == 1
    assert demo.output == f"error: --port {port}: Address already in use\n"


def test_the_page(start: Start, tmp_path: Path) -> None:
    own = tmp_path / "sofa.jpg"
    own.write_bytes(jpeg(photo(random_product(77, "sofa"))))
    demo = start()
    with chromium(tmp_path / "profile") as browser:
        demo.says("Ctrl-C ends all of this")
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", demo.output)
        (street,) = demo.temporary.glob("*/street-photo.jpg")
        screen(browser, 1280, 900)
        browser.get(f"{url}/")
        page = Page(browser)

        page.choose("pick", street)
        page.finds_first(drawn.file_name(drawn.HERO))
        eventually(page.pictures_loaded, what="pictures")

        page.choose("listing-picture", own)
        browser.find_element(By.ID, "listing-title").send_keys("Curved reading sofa", Keys.ENTER)
        page.shows("#listing-said", "Searchable after", within=30)
        eventually(lambda: "Curved reading sofa" in page.text(".card"), what="the new product first")
        if os.environ.get("FRESHLINE_SCREENSHOTS"):
            browser.save_screenshot(str(tmp_path / "demo.png"))
        assert console_errors(browser) == []
        assert [address for address in requested(browser) if not address.startswith((url, "blob:", "data:"))] == []
    assert demo.end(signal.SIGTERM) == 0
