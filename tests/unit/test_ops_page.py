"""The page `/ops` as one document: complete, and allowed by its own policy."""

from __future__ import annotations

import base64
import hashlib
import re

from stream.ops.page import ops_headers, ops_page
from tests import ops_states


def _inlined(tag: str) -> str:
    (found,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", ops_page(), re.DOTALL)
    return str(found)


def test_the_policy_allows_what_is_inlined_and_no_more() -> None:
    policy = ops_headers()["Content-Security-Policy"]
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(_inlined(tag).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_nothing_comes_from_elsewhere() -> None:
    page = ops_page()
    addresses = re.findall(r"https?://[^\s\"'<>)]+", page)
    assert set(addresses) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval)\b", page)


def test_every_file_is_in_it() -> None:
    for said in ("function duration", "function keep", "function verdict", "function makePlot", "function showViews"):
        assert said in ops_page()
    assert "$style" not in ops_page()
    assert "$script" not in ops_page()


def test_the_states_that_it_is_tested_with_are_valid() -> None:
    for make in (ops_states.fresh, ops_states.blind, ops_states.empty, ops_states.huge):
        state = make()
        assert type(state).model_validate_json(state.model_dump_json()) == state
