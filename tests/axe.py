"""axe-core, which knows the rules of accessible pages, on a page in the browser."""

from __future__ import annotations

import os
import shutil
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome

from infra.local.downloads import check_digest, download, run

_VERSION = "4.14.1"
_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
# Colours that are still changing, from light to dark say, are not those that people read.
_RUN = """const done = arguments[0];
Promise.allSettled(document.getAnimations().map((each) => each.finished)).then(() => axe.run())
  .then((found) => done(found.violations), (error) => done(String(error)));"""


def violations(browser: Chrome) -> list[str]:
    """What the page does wrong: rule, element, and why."""
    browser.set_script_timeout(120)  # a laden machine takes its time
    browser.execute_script(_source())
    found: list[dict[str, Any]] | str = browser.execute_async_script(_RUN)
    assert not isinstance(found, str), found
    return [f"{rule['id']}: {node['html'][:200]}: {node['failureSummary']}" for rule in found for node in rule["nodes"]]


@cache
def _source() -> str:
    """The script, downloaded once into the cache that the local stack has too."""
    cache_folder = Path(os.environ.get("FRESHLINE_STACK_CACHE") or "~/.cache/freshline").expanduser()
    cache_folder.mkdir(parents=True, exist_ok=True)
    script = cache_folder / f"axe-core-{_VERSION}" / "axe.min.js"
    download(script.parent, _unpack)
    check_digest(script, _SHA256)
    return script.read_text(encoding="utf-8")


def _unpack(folder: Path) -> None:
    run(["npm", "pack", "--silent", f"axe-core@{_VERSION}"], cwd=folder)
    (package,) = folder.glob("*.tgz")
    with tarfile.open(package) as archive:
        archive.extract("package/axe.min.js", folder, filter="data")
    (folder / "package/axe.min.js").rename(folder / "axe.min.js")
    shutil.rmtree(folder / "package")
    package.unlink()
