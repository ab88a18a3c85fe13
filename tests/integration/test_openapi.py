"""Whatever the OpenAPI document allows, and much that it doesn't, is answered without an error of the server's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.drawn_shop import DrawnShop

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
EXAMPLES = 60
HEALTH = list(HealthCheck)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    shop = DrawnShop(tmp_path_factory.mktemp("shop"), products=12)
    with shop.serving() as url:
        yield url
    shop.close()


@pytest.mark.parametrize("mode", GenerationMode)
def test_no_server_error(url: str, mode: GenerationMode) -> None:
    """What the document allows, and what it doesn't: all answers are as the document says."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [each.ok() for each in schema.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) == 9
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=HEALTH)
        def check(case: Case) -> None:  # type: ignore[type-arg]
            case.call_and_validate(checks=CHECKS)

        with suppress(Unsatisfiable):  # an operation without parameters has nothing to be wrong
            check()
