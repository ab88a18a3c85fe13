"""The page in a real Chromium: what a shopper and a seller do, on a desk and on a phone."""

from __future__ import annotations

import io
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from encoders.training.drawing import photo, random_product
from encoders.training.street import street_photo
from search.keys import new_key
from tests.axe import violations
from tests.browser import chromium, console_errors, requested, screen
from tests.drawn_shop import DrawnShop, jpeg
from tests.harness import eventually
from tests.page import Page

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

SEEN = "mug/6"  # what the shopper saw on the street
SCREENSHOT = Path(__file__).parents[2] / "docs" / "images" / "page.png"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DrawnShop]:
    shop = DrawnShop(tmp_path_factory.mktemp("shop"), products=60)
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def url(shop: DrawnShop) -> Iterator[str]:
    with shop.serving() as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser: Chrome, url: str) -> Iterator[Page]:
    """The page as it is opened; at the end the console is clean and nothing was asked of anyone else."""
    screen(browser, 1280, 900)
    browser.get(f"{url}/")
    yield Page(browser)
    assert console_errors(browser) == []
    assert [address for address in requested(browser) if not address.startswith((f"{url}/", "blob:", "data:"))] == []


@pytest.fixture
def street(shop: DrawnShop, tmp_path: Path) -> Path:
    path = tmp_path / "street.jpg"
    path.write_bytes(jpeg(street_photo(shop.drawn[SEEN], 3, size=512)))
    return path


def test_a_street_photo_finds_its_product(page: Page, street: Path, shop: DrawnShop) -> None:
    page.choose("pick", street)
    page.finds_first(SEEN)
    assert page.text("#heading") == "24 products like your picture"
    card = page.text(".card")
    assert shop.drawn[SEEN].title in card
    assert "€" in card
    assert "mug · listed" in card
    assert "searchable after" in card
    eventually(page.pictures_loaded, what="pictures")
    assert page.fits()
    if os.environ.get("FRESHLINE_SCREENSHOTS"):
        opacity = "return getComputedStyle(document.getElementById('results')).opacity"
        eventually(lambda: page.browser.execute_script(opacity) == "1", what="the fade to end")
        SCREENSHOT.parent.mkdir(exist_ok=True)
        shot = Image.open(io.BytesIO(page.browser.get_screenshot_as_png())).convert("RGB")
        shot.save(SCREENSHOT, optimize=True)


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_picture_dropped_or_pasted(page: Page, shop: DrawnShop, how: str) -> None:
    page.hand_over(how, jpeg(photo(shop.drawn["bag/2"])))
    page.finds_first("bag/2")


def test_a_large_picture_is_made_small_before_it_is_sent(page: Page, shop: DrawnShop, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    photo(shop.drawn["shoe/1"]).resize((3000, 2400), Image.Resampling.BICUBIC).save(large)
    page.choose("pick", large)
    page.finds_first("shoe/1")
    size = page.browser.execute_script("const {naturalWidth: w, naturalHeight: h} = asked; return [w, h]")
    assert size == [1024, 819]


def test_more_like_this_and_back_by_keyboard(page: Page, shop: DrawnShop, street: Path) -> None:
    page.choose("pick", street)
    page.finds_first(SEEN)
    before = page.products()
    page.browser.find_element(By.CSS_SELECTOR, ".card").send_keys(Keys.ENTER)
    page.shows("#heading", f"like “{shop.drawn[SEEN].title}”")
    assert SEEN not in page.products()
    assert page.browser.execute_script("return document.activeElement.id") == "heading"
    page.browser.refresh()  # the address says what is shown
    page.shows("#heading", f"like “{shop.drawn[SEEN].title}”")
    second = page.products()[0]
    page.click(".card")
    page.shows("#heading", f"like “{shop.drawn[second].title}”")
    page.click("#back")
    page.shows("#heading", f"like “{shop.drawn[SEEN].title}”")
    assert before != page.products()


def test_a_product_listed_now_is_watched_until_it_is_found(page: Page, tmp_path: Path) -> None:
    own = tmp_path / "sofa.jpg"
    own.write_bytes(jpeg(photo(random_product(77, "sofa"))))
    started = time.monotonic()
    page.choose("listing-picture", own)
    page.browser.find_element(By.ID, "listing-title").send_keys("Curved reading sofa", Keys.ENTER)
    counting = re.compile(r"0\.[3-9] s")
    eventually(lambda: counting.fullmatch(page.text("#listing-seconds")), what="the seconds pass as one looks")
    page.shows("#listing-said", "Searchable after")
    said = float(page.text("#listing-said").removeprefix("Searchable after ").removesuffix(" s."))
    assert 1 <= said <= time.monotonic() - started
    eventually(lambda: "Curved reading sofa" in page.text(".card"), what="the new product first")
    assert "Just listed" in page.text(".card")
    assert "1.00" in page.text(".card")


def test_words_alone_and_beside_a_picture(page: Page, shop: DrawnShop, street: Path) -> None:
    wanted = shop.drawn[SEEN].title.lower()
    page.type("words", " ".join(reversed(wanted.split())))
    page.shows("#heading", "products for “")
    assert SEEN in page.products()[:3]
    page.browser.refresh()  # the address says what is shown
    page.shows("#heading", "products for “")
    assert SEEN in page.products()[:3]
    page.choose("pick", street)
    page.finds_first(SEEN)
    page.shows("#heading", "24 products like your picture")
    other = next(product for product in shop.drawn.values() if product.category == "lamp")
    page.type("words", other.title)
    page.shows("#heading", f"like your picture, “{other.title}”")
    both = page.products()
    page.click("#alone")
    page.shows("#heading", f"products for “{other.title}”")
    assert page.products() != both
    assert page.products()[0].startswith("lamp/")
    page.click("#back")
    page.shows("#heading", f"like your picture, “{other.title}”")
    assert page.fits()


def test_a_part_of_a_picture(page: Page, shop: DrawnShop, tmp_path: Path) -> None:
    left, right = photo(shop.drawn["shoe/1"]), photo(shop.drawn["lamp/3"])
    both = Image.new("RGB", (left.width + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    path = tmp_path / "both.jpg"
    path.write_bytes(jpeg(both))
    page.choose("pick", path)
    page.shows("#heading", "products like your picture")
    page.click("#crop-open")
    page.drag("#crop-stage", (0.02, 0.02), (0.49, 0.98))
    page.click("#crop-take")
    page.finds_first("shoe/1")
    assert page.text("#asked-name") == "A part of your picture"
    page.click("#crop-open")
    page.drag("#crop-frame", (0.5, 0.5), (1.57, 0.5))  # as it is, to the other half
    page.click("#crop-take")
    page.finds_first("lamp/3")
    page.click("#back")
    page.finds_first("shoe/1")
    page.click("#crop-open")
    page.click("#crop-whole")
    page.shows("#asked-name", "Your picture")


def test_a_part_of_a_picture_by_keyboard(page: Page, shop: DrawnShop, street: Path) -> None:
    page.choose("pick", street)
    page.finds_first(SEEN)
    page.click("#crop-open")
    frame = page.browser.switch_to.active_element
    assert frame.get_attribute("id") == "crop-frame"
    said = page.browser.find_element(By.ID, "crop-said").get_attribute("textContent")
    frame.send_keys(Keys.ARROW_RIGHT, Keys.SHIFT, Keys.ARROW_DOWN)
    assert page.browser.find_element(By.ID, "crop-said").get_attribute("textContent") == (
        "70 % wide and 72 % high, 17 % from the left and 15 % from the top"
    )
    assert said == "70 % wide and 70 % high, 15 % from the left and 15 % from the top"
    frame.send_keys(Keys.ESCAPE)
    assert not page.browser.find_element(By.ID, "crop").is_displayed()
    page.click("#crop-open")
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.shows("#asked-name", "A part of your picture")
    page.finds_first(SEEN)
    assert not page.browser.find_element(By.ID, "crop").is_displayed()


def test_filters(page: Page, shop: DrawnShop, street: Path) -> None:
    page.choose("pick", street)
    page.finds_first(SEEN)
    page.select("filter-category", "shoe (10)")
    page.shows("#heading", "10 products like your picture")
    assert {product.partition("/")[0] for product in page.products()} == {"shoe"}
    page.type("price-max", "60")
    eventually(lambda: 0 < len(page.products()) < 10, what="the cheap ones")
    cheap = page.products()
    page.click("#back")
    page.shows("#heading", "10 products like your picture")
    page.type("price-min", "5000")
    page.shows("#heading", "Nothing with these filters")
    page.click("#filters-clear")
    page.finds_first(SEEN)
    assert not page.browser.find_element(By.ID, "filters-clear").is_displayed()
    page.type("words", "mug")
    page.select("filter-brand", next(f"{brand} ({many})" for brand, many in shop.brands().items()))
    page.shows("#heading", "products like your picture, “mug”")
    assert cheap
    assert page.fits()


def test_filters_are_in_the_address_of_words(page: Page) -> None:
    page.type("words", "striped")
    page.shows("#heading", "products for “striped”")
    page.select("filter-category", "bag (10)")
    page.shows("#heading", "10 products for “striped”")
    page.browser.refresh()
    page.shows("#heading", "10 products for “striped”")
    assert {product.partition("/")[0] for product in page.products()} == {"bag"}


def test_more_of_them(page: Page, street: Path, shop: DrawnShop) -> None:
    page.choose("pick", street)
    page.finds_first(SEEN)
    first = page.products()
    page.click("#next")
    page.shows("#heading", "48 products like your picture")
    page.click("#next")
    page.shows("#heading", "products like your picture")
    eventually(lambda: len(page.products()) >= len(shop.drawn), what="all products")
    assert page.products()[:24] == first
    assert len(set(page.products())) == len(page.products())
    assert not page.browser.find_element(By.ID, "next").is_displayed()


def test_a_service_that_wants_a_key(browser: Chrome, shop: DrawnShop, street: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key, line = new_key("page")
    keys.write_text(line + "\n")
    with shop.serving(keys=keys) as url:
        browser.get(url)
        page = Page(browser)
        page.choose("pick", street)
        page.shows("#trouble", "a key is needed")
        page.type("key", "not this one")
        page.shows("#trouble", "this key is not known")
        page.type("key", key)
        page.finds_first(SEEN)
        assert not browser.find_element(By.ID, "trouble").is_displayed()
        assert all("401" in error for error in console_errors(browser))
        browser.get("about:blank")  # or pictures further down would be asked for when nobody serves them any more
        requested(browser)


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(page: Page, street: Path, phone: bool, dark: bool) -> None:
    if not shutil.which("npm") and not os.environ.get("CI"):
        pytest.skip("axe-core comes by npm (apt-get install npm)")
    screen(page.browser, 390 if phone else 1280, 844 if phone else 900, phone=phone, dark=dark)
    assert violations(page.browser) == []
    page.choose("pick", street)
    page.finds_first(SEEN)
    assert violations(page.browser) == []
    page.click("#crop-open")
    assert violations(page.browser) == []
    assert page.fits()
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.type("price-min", "5000")
    page.shows("#heading", "Nothing with these filters")
    assert violations(page.browser) == []


def test_what_is_no_picture_is_said(page: Page, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("milk, bread")
    page.choose("pick", notes)
    page.shows("#trouble", "“notes.txt” can't be shown by this browser")
    page.hand_over("drop", b"no picture", "#listing")
    page.shows("#listing-said", "“handed.jpg” can't be shown")
    page.click("#listing-form button")
    page.browser.find_element(By.ID, "listing-title").send_keys("A mug", Keys.ENTER)
    page.shows("#listing-said", "Choose a picture of the product first.")


def test_what_the_service_says_is_shown(page: Page, url: str) -> None:
    page.browser.get(f"{url}/?like=no such product")
    page.shows("#trouble", "the index holds nothing for a product 'no such product'")
    (error,) = console_errors(page.browser)
    assert "404" in error


def test_a_service_that_is_away_is_asked_again(page: Page, street: Path) -> None:
    page.browser.set_network_conditions(offline=True, latency=0, throughput=-1)
    page.choose("pick", street)
    page.shows("#trouble", "The search service does not answer")
    (error,) = console_errors(page.browser)
    assert "ERR_INTERNET_DISCONNECTED" in error
    page.browser.set_network_conditions(offline=False, latency=0, throughput=-1)
    page.click("#again")
    page.finds_first(SEEN)
    assert not page.browser.find_element(By.ID, "trouble").is_displayed()


def test_an_empty_index_says_what_to_do(browser: Chrome, street: Path, tmp_path: Path) -> None:
    shop = DrawnShop(tmp_path, products=0)
    with shop.serving() as url:
        browser.get(url)
        page = Page(browser)
        page.choose("pick", street)
        page.shows("#heading", "No products yet")
        page.shows("#note", "List a product now")
        requested(browser)
    shop.close()


def test_on_a_phone(page: Page, street: Path) -> None:
    for width, height in ((390, 844), (360, 640)):
        screen(page.browser, width, height, phone=True)
        page.browser.refresh()
        assert page.browser.find_element(By.CSS_SELECTOR, "label:has(#shoot)").is_displayed()
        assert page.fits()
        page.choose("shoot", street)
        page.finds_first(SEEN)
        page.click("#listing summary")
        assert page.fits()


def test_in_the_dark(page: Page) -> None:
    def background() -> str:
        return str(page.browser.execute_script("return getComputedStyle(document.body).backgroundColor"))

    bright = background()
    screen(page.browser, 1280, 900, dark=True)
    assert background() != bright
