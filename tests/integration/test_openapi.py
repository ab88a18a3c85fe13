"""Whatever the OpenAPI document allows, and much that it doesn't, is answered without an error of the server's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.drawn_shop import DrawnShop

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    shop = DrawnShop(tmp_path_factory.mktemp("shop"), products=12)
    with shop.serving() as url:
        yield url
    shop.close()


@pytest.fixture(scope="module")
def api(url: str) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True)
def test_no_server_error(case: Case) -> None:  # type: ignore[type-arg]
    case.call_and_validate(checks=[not_a_server_error, content_type_conformance, response_schema_conformance])
