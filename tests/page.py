"""The search page as its users see it, in a real browser."""

from __future__ import annotations

import base64
from pathlib import Path

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from tests.harness import eventually

# A synthetic event, with a file as the real one would carry it.
_HAND_OVER = """
const bytes = Uint8Array.from(atob(arguments[1]), (letter) => letter.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], "handed.jpg", {type: "image/jpeg"}));
const init = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
const event = arguments[0] === "paste" ? new ClipboardEvent("paste", init) : new DragEvent("drop", init);
document.querySelector(arguments[2]).dispatchEvent(event);
"""


class Page:
    """What can be seen and done on the page."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def text(self, selector: str) -> str:
        while True:
            try:
                return self.browser.find_element(By.CSS_SELECTOR, selector).text
            except StaleElementReferenceException:  # the page replaced it between the two questions: ask again
                continue

    def products(self) -> list[str]:
        found: list[str] = self.browser.execute_script(
            "return [...document.querySelectorAll('[aria-busy=false] .card')].map((card) => card.dataset.product)"
        )
        return found

    def choose(self, field: str, path: Path) -> None:
        self.browser.find_element(By.ID, field).send_keys(str(path))

    def type(self, field: str, words: str) -> None:
        """Write words into a field, in place of what it holds, and press Enter."""
        found = self.browser.find_element(By.ID, field)
        found.clear()
        found.send_keys(words, Keys.ENTER)

    def select(self, field: str, option: str) -> None:
        """Choose what a list offers, once it does."""

        def chosen() -> bool:
            try:
                Select(self.browser.find_element(By.ID, field)).select_by_visible_text(option)
            except (NoSuchElementException, StaleElementReferenceException):
                return False
            return True

        eventually(chosen, within=10, what=f"{option!r} in {field}")

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """With the mouse, between two places in an element, in fractions of its sides from the top left."""
        found = self.browser.find_element(By.CSS_SELECTOR, selector)
        width, height = found.size["width"], found.size["height"]
        (x, y), (to_x, to_y) = start, end
        mouse = ActionChains(self.browser)
        mouse.move_to_element_with_offset(found, round((x - 0.5) * width), round((y - 0.5) * height))
        mouse.click_and_hold().move_by_offset(round((to_x - x) * width), round((to_y - y) * height)).release().perform()

    def hand_over(self, how: str, picture: bytes, where: str = "body") -> None:
        self.browser.execute_script(_HAND_OVER, how, base64.b64encode(picture).decode(), where)

    def click(self, selector: str) -> None:
        self.browser.find_element(By.CSS_SELECTOR, selector).click()

    def shows(self, selector: str, text: str, within: float = 10) -> None:
        eventually(lambda: text in self.text(selector), within=within, what=f"{text!r} in {selector}")

    def finds_first(self, product_id: str) -> None:
        eventually(lambda: self.products()[:1] == [product_id], within=10, what=f"{product_id} first")

    def pictures_loaded(self) -> bool:
        """Whether every product picture on the screen is there."""
        loaded: bool = self.browser.execute_script(
            "return [...document.querySelectorAll('.frame')].every("
            "(each) => each.getBoundingClientRect().top > innerHeight || each.querySelector('img')?.naturalWidth > 0)"
        )
        return loaded

    def fits(self) -> bool:
        """Whether nothing is wider than the screen."""
        fits: bool = self.browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        return fits
