"""The bodies of requests that carry a picture, or words: read within their limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message, Receive

from search.models import FormListing, FormSearch, JsonSearch, SearchRequest
from search.problems import Problem, invalid, missing

T = TypeVar("T", FormListing, SearchRequest)

_OTHER_FIELDS_BYTES = 65_536
_PATIENCE = 4


@dataclass(frozen=True)
class BodyLimits:
    """Of a request's body."""

    max_image_bytes: int
    seconds: float
    """To arrive in."""


async def read_search(request: Request, limits: BodyLimits) -> SearchRequest:
    """The search that `request` asks for.

    Raises:
        Problem: 413 too large, 415 neither form, 400 broken multipart, 408 too slow, 422 a field is wrong.
    """
    search = await _read(request, limits, _parse_search)
    if not search.image and not search.text:
        raise missing(type(search).model_fields["image"].alias or "image", unless="text")
    return search


async def read_listing(request: Request, limits: BodyLimits) -> FormListing:
    """The product that `request` wants listed.

    Raises:
        Problem: as `read_search` does.
    """
    return await _read(request, limits, _parse_listing)


async def _read(request: Request, limits: BodyLimits, parse: Callable[[Request], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout(limits.seconds):
            return await _read_bounded(request, limits.max_image_bytes, parse)
    except TimeoutError:
        late = f"the request's body did not arrive within {limits.seconds:g} s"
        raise Problem(408, "too-slow", late, headers={"Connection": "close"}) from None


async def _read_bounded(request: Request, max_image_bytes: int, parse: Callable[[Request], Awaitable[T]]) -> T:
    # Base64 takes four bytes for three.
    limit = max_image_bytes * 4 // 3 + _OTHER_FIELDS_BYTES
    if int(request.headers.get("content-length", "0")) > limit:
        await _discard(request.receive, _PATIENCE * limit)
        raise _too_large(max_image_bytes)
    bounded = Request(request.scope, _bounded(request.receive, limit, _too_large(max_image_bytes)))
    try:
        parsed = await parse(bounded)
    except ValidationError as error:
        raise invalid(error) from None
    if parsed.image and len(parsed.image) > max_image_bytes:
        raise _too_large(max_image_bytes)
    return parsed


async def _parse_search(request: Request) -> SearchRequest:
    kind = _kind(request)
    if kind == "application/json":
        return JsonSearch.model_validate_json(await request.body())
    if kind == "multipart/form-data":
        return FormSearch.model_validate(await _fields(request))
    raise Problem(415, "unsupported-media-type", "send multipart/form-data or application/json")


async def _parse_listing(request: Request) -> FormListing:
    if _kind(request) != "multipart/form-data":
        raise Problem(415, "unsupported-media-type", "send multipart/form-data")
    return FormListing.model_validate(await _fields(request))


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _fields(request: Request) -> dict[str, Any]:
    """The form's fields; those left empty in a browser's form count as absent."""
    async with request.form(max_files=1, max_fields=32) as form:
        fields = {name: await _content(value) for name, value in form.multi_items()}
    return {name: value for name, value in fields.items() if value}


async def _content(value: UploadFile | str) -> bytes | str:
    return value if isinstance(value, str) else await value.read()


def _bounded(receive: Receive, limit: int, refusal: Problem) -> Receive:
    left = limit

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            if message.get("more_body"):
                await _discard(receive, _PATIENCE * limit)
            raise refusal
        return message

    return bounded


async def _discard(receive: Receive, most: int) -> None:
    """Read on without keeping anything: a client that is cut off while it sends never sees why."""
    more = True
    while more and most > 0:
        message = await receive()
        most -= len(message.get("body", b""))
        more = message.get("more_body", False)


def _too_large(max_image_bytes: int) -> Problem:
    return Problem(413, "image-too-large", f"the image is larger than {max_image_bytes / 1e6:g} MB")
