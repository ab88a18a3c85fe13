"""Errors as RFC 9457 problem details, whoever raised them: our code, a validator, or the router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from search.requests import HEADER as REQUEST_ID

MEDIA_TYPE = "application/problem+json"
_log = structlog.get_logger(__name__)


class ProblemDetails(BaseModel):
    """The body of every answer that is an error."""

    type: str = Field("about:blank", examples=["urn:freshline:problem:image-invalid"])
    title: str
    status: int
    detail: str
    reason: str | None = Field(None, description="why an image was refused", examples=["image_corrupt"])
    errors: list[dict[str, str]] | None = Field(None, description="`field` and `message` of each wrong field")


class Problem(Exception):
    """An answer that is an error.

    Args:
        status: the HTTP status.
        code: a few words with hyphens; `type` and `title` are made of it.
        detail: what is wrong this time, for a person to read.
        headers: of the response.
        members: further members of the body.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.body = ProblemDetails(
            type=f"urn:freshline:problem:{code}",
            title=code.replace("-", " ").capitalize(),
            status=status,
            detail=detail,
            **members,
        )

    def response(self) -> JSONResponse:
        """The problem as it is sent."""
        return _response(self.body, self.headers)


def invalid(error: ValidationError) -> Problem:
    """The problem that names each field that is missing or wrong."""
    return _invalid_request([(detail["loc"], detail["msg"]) for detail in error.errors(include_url=False)])


def missing(field: str, *, unless: str) -> Problem:
    """The problem that a field must be given, unless another one is."""
    return _invalid_request([((field,), f"is required, unless {unless} is given")])


def unprocessable(field: str, message: str) -> Problem:
    """The problem that one field can't be met."""
    return _invalid_request([((field,), message)])


def _invalid_request(found: Sequence[tuple[Sequence[int | str], str]]) -> Problem:
    errors = [
        {"field": ".".join(str(part) for part in where), "message": message.removeprefix("Value error, ")}
        for where, message in found
    ]
    detail = "; ".join(f"{error['field'] or 'body'}: {error['message']}" for error in errors)
    return Problem(422, "invalid-request", detail, errors=errors)


def _response(body: ProblemDetails, headers: Mapping[str, str] | None = None) -> JSONResponse:
    content = body.model_dump(exclude_none=True)
    return JSONResponse(content, body.status, headers=headers, media_type=MEDIA_TYPE)


def _plain(status: int, detail: str | None = None, headers: Mapping[str, str] | None = None) -> JSONResponse:
    phrase = HTTPStatus(status).phrase
    return _response(ProblemDetails(title=phrase, status=status, detail=detail or phrase), headers)


def add_handlers(app: FastAPI) -> None:
    """Answer every error of `app` with problem details."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def validation(_: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid_request([(detail["loc"][1:], detail["msg"]) for detail in error.errors()]).response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        detail = f"there is nothing at {request.url.path}" if error.status_code == 404 else error.detail
        return _plain(error.status_code, detail, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> JSONResponse:
        return _plain(400, "the connection was closed before the request was complete")

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        request_id = request.scope.get("request_id", "")
        _log.error("request failed", path=request.url.path, request_id=request_id, exc_info=error)
        return _plain(500, "the service failed to answer; its log says why", {REQUEST_ID: request_id})
