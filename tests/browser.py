"""A real Chromium without a window, and what it did: its console, and every address that it asked for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """A browser with an empty profile; in CI its absence is a failure, on a laptop a skip that says so."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver) and not os.environ.get("CI"):
        pytest.skip("needs chromium and chromedriver (apt-get install chromium chromium-driver)")
    assert browser, "no chromium"
    assert driver, "no chromedriver"
    options = ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = Chrome(options, Service(driver))
    try:
        opened.get("about:blank")
        requested(opened)  # the browser's own first page asks for a lot
        yield opened
    finally:
        opened.quit()


def screen(browser: Chrome, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
    """Give the page a screen of this size; a phone's is touched and has no window around it."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 0, "mobile": phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def console_errors(browser: Chrome) -> list[str]:
    """What the console said since the last time, other than for information."""
    return [entry["message"] for entry in _log(browser, "browser") if entry["level"] in ("WARNING", "SEVERE")]


def requested(browser: Chrome) -> list[str]:
    """Every address that pages asked for since the last time."""
    messages = [json.loads(entry["message"])["message"] for entry in _log(browser, "performance")]
    return [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]


def _log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries
