"""Asking the search service."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from freshline.cli.errors import Failure

_TIMEOUT_SECONDS = 30


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The service's answer to a JSON body.

    Raises:
        Failure: there is none, or it says why not.
    """
    if not url.startswith(("http://", "https://")):
        raise Failure(f"{url}: not an http or https address")
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 (checked)
    try:
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 (checked above)
            answer: dict[str, Any] = json.load(response)
            return answer
    except HTTPError as error:
        raise Failure(f"{url}: {error.code}: {_detail(error)}") from error
    except (OSError, HTTPException) as error:
        raise Failure(f"{url}: no answer: {getattr(error, 'reason', error)}") from error
    except ValueError as error:
        raise Failure(f"{url}: the answer is no JSON: is this the search service?") from error


def _detail(error: HTTPError) -> str:
    """What the problem details say, or the status phrase where the answer is none."""
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)
