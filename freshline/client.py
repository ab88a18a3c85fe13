"""A client of the search service, for shops' back ends."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from schemas.payloads import Payload
from search.models import AttributeFilter, SearchResponse

Answer = TypeVar("Answer", bound=BaseModel)

_PASSING = {429, 502, 503, 504}
_BACKOFF = wait_exponential_jitter(multiplier=0.2, max=5.0)
_LONGEST_WAIT = 10.0


class SearchError(RuntimeError):
    """The service did not answer the question; the message says why.

    Attributes:
        status: HTTP's, or None if there was no answer.
        type: of the problem, for example `urn:freshline:problem:image-refused`.
        errors: `field` and `message` of each wrong field.
        retry_after: seconds, if the service says so.
    """

    def __init__(self, message: str, *, status: int | None = None, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.type: str = (problem or {}).get("type", "about:blank")
        self.errors: list[dict[str, str]] = (problem or {}).get("errors", [])
        self.retry_after: float | None = None


class Client:
    """Asks a search service; use it as a context manager, or close it. Threads may share one.

    What is too busy, or away for a moment, is asked again: a search changes nothing.

    Args:
        url: where `freshline serve` answers.
        key: an API key, where the service wants one.
        timeout: seconds of one attempt.
        attempts: how often a question is asked, at most.

    Raises:
        ValueError: `url` is no http or https address.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float = 10.0, attempts: int = 3) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout)
        except httpx.InvalidURL as error:
            raise ValueError(f"{url}: {error}") from None
        if self._http.base_url.scheme not in {"http", "https"}:
            raise ValueError(f"{url}: not an http or https address")
        self._retrying = Retrying(
            retry=retry_if_exception(_passes), stop=stop_after_attempt(attempts), wait=_wait, reraise=True
        )

    def search(
        self,
        image: bytes | Path | None = None,
        text: str | None = None,
        *,
        text_weight: float | None = None,
        limit: int = 10,
        offset: int = 0,
        min_score: float | None = None,
        category: str | None = None,
        brand: str | None = None,
        price_min: float | None = None,
        price_max: float | None = None,
        attributes: Mapping[str, AttributeFilter] | None = None,
        facets: Sequence[str] = (),
    ) -> SearchResponse:
        """The products most like a picture, words, or both (docs/search.md tells what each field means).

        Args:
            image: a JPEG, PNG or WebP file, or its content.
            text: words.
            text_weight: of the words beside a picture, 0 to 1.
            limit: how many products at most.
            offset: how many of the most similar ones to leave out.
            min_score: products below are left out.
            category: exactly this.
            brand: exactly this.
            price_min: inclusive.
            price_max: inclusive.
            attributes: each has this value, or one of a list.
            facets: to count the matching products by.

        Raises:
            OSError: the file can't be read.
            SearchError: there is no answer, or it says why not.
        """
        content = image.read_bytes() if isinstance(image, Path) else image
        asked = {
            "image_base64": None if content is None else base64.b64encode(content).decode(),
            "text": text,
            "text_weight": text_weight,
            "limit": limit,
            "offset": offset or None,
            "min_score": min_score,
            "category": category,
            "brand": brand,
            "price_min": price_min,
            "price_max": price_max,
            "attributes": dict(attributes) if attributes else None,
            "facets": list(facets) or None,
        }
        given = {name: value for name, value in asked.items() if value is not None}
        return self._ask(SearchResponse, "POST", "/v1/search", json=given)

    def similar(
        self, product_id: str, *, limit: int = 10, offset: int = 0, min_score: float | None = None
    ) -> SearchResponse:
        """The products that look most like another one.

        Raises:
            SearchError: there is no answer, or it says why not: 404 for a product without pictures in the index.
        """
        wanted = {"limit": limit, "offset": offset, "min_score": min_score}
        given = {name: value for name, value in wanted.items() if value is not None}
        return self._ask(SearchResponse, "GET", f"/v1/products/{quote(product_id, safe='')}/similar", params=given)

    def product(self, product_id: str) -> Payload | None:
        """What the index holds for a product, `deleted` ones too while they are remembered; None if nothing.

        Raises:
            SearchError: there is no answer, or it says why not.
        """
        try:
            return self._ask(Payload, "GET", f"/v1/products/{quote(product_id, safe='')}")
        except SearchError as error:
            if error.status == 404 and error.type.endswith(":product-not-found"):
                return None
            raise

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, kind: type[Answer], method: str, path: str, **options: Any) -> Answer:
        answer: Answer = self._retrying(self._once, kind, method, path, options)
        return answer

    def _once(self, kind: type[Answer], method: str, path: str, options: Mapping[str, Any]) -> Answer:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise SearchError(f"{self._http.base_url}: no answer: {error}") from error
        if not response.is_success:
            raise _refusal(response)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise SearchError(f"{response.url}: the answer is none of a search: is this the search service?") from error


def _refusal(response: httpx.Response) -> SearchError:
    try:
        problem = dict(response.json())
    except (TypeError, ValueError):  # whatever is in front of the service has its own pages
        problem = {}
    said = problem.get("detail") or response.reason_phrase
    error = SearchError(f"{response.url}: {response.status_code}: {said}", status=response.status_code, problem=problem)
    with suppress(KeyError, ValueError):
        error.retry_after = float(response.headers["Retry-After"])
    return error


def _passes(error: BaseException) -> bool:
    if not isinstance(error, SearchError):
        return False
    return error.status in _PASSING or isinstance(error.__cause__, httpx.TransportError)


def _wait(state: RetryCallState) -> float:
    """As long as the service says, or ever longer."""
    error = state.outcome.exception() if state.outcome else None
    said = error.retry_after if isinstance(error, SearchError) else None
    return min(_BACKOFF(state) if said is None else said, _LONGEST_WAIT)
