"""The page `/ops` as the browser gets it: one document with its style and its script inside.

Nothing comes from elsewhere. It asks for `ops/state.json`, an `OpsState` of `stream/monitor/state.py`, every 5 s.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from string import Template

_FOLDER = Path(__file__).parent
_SCRIPTS = ("words", "dom", "verdict", "cursor", "plots", "bars", "views", "panels", "ops")


def ops_page() -> str:
    """The whole page, HTML."""
    html = Template(_text("ops.html"))
    return html.substitute(style=_text("ops.css"), script=_script())


def ops_headers() -> dict[str, str]:
    """What is to be sent with it: its policy allows its own style, script and state, and no others."""
    policy = (
        f"default-src 'none'; script-src '{_digest(_script())}'; style-src '{_digest(_text('ops.css'))}'; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _script() -> str:
    """One module: the files share its scope, so that nothing is imported and nothing is global."""
    return "\n".join(_text(f"{name}.js") for name in _SCRIPTS)


@cache
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(inlined: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(inlined.encode()).digest()).decode()}"
