from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from freshline.log_secrets import Masker
from freshline.settings import Settings

MASKER = Masker(["hunter2 & co", "quo'te\"d\\key"])


def masked(**line: Any) -> dict[str, Any]:
    return dict(MASKER(None, "", line))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://shop.test/a.jpg?sig=abc&e=1: HTTP 404", "https://shop.test/a.jpg?***: HTTP 404"),
        ("https://shop.test/a.jpg#frag", "https://shop.test/a.jpg#***"),
        ("ClientError('https://shop.test/a.jpg?sig=abc')", "ClientError('https://shop.test/a.jpg?***')"),
        ("http://user:pa:ss@shop.test:8080/x", "http://***@shop.test:8080/x"),
        ("no route to kafka://me:secret@broker:9092, giving up", "no route to kafka://***@broker:9092, giving up"),
        ("file:///a/b.jpg: not a plain file", "file:///a/b.jpg: not a plain file"),
        (
            "http://127.0.0.1:6333 and https://shop.test/a@2x.jpg",
            "http://127.0.0.1:6333 and https://shop.test/a@2x.jpg",
        ),
        ("password is hunter2 & co!", "password is ***!"),
        ("in a URL: hunter2%20%26%20co", "in a URL: ***"),
        ("headers: {'api-key': 'abc123'}", "headers: {'api-key': '***'}"),
        ("Authorization: Bearer ey.jk", "Authorization: Bearer ***"),
        ("a token of thanks, no secret here", "a token of thanks, no secret here"),
    ],
)
def test_what_is_left_of_a_text(text: str, shown: str) -> None:
    assert MASKER.text(text) == shown


def test_fields_are_masked_by_their_names_at_any_depth() -> None:
    line = masked(
        qdrant_api_key="k", sasl_password="p", count=3, nothing=None, inner=[{"Authorization": "x", "a": "b"}]
    )

    assert line == {
        "qdrant_api_key": "***",
        "sasl_password": "***",
        "count": 3,
        "nothing": None,
        "inner": [{"Authorization": "***", "a": "b"}],
    }


def test_a_secret_hides_in_no_notation() -> None:
    secret = "quo'te\"d\\key"
    line = masked(plain=secret, as_repr=repr(secret), as_json=json.dumps({"k": secret}), error=ValueError(secret))

    assert line == {"plain": "***", "as_repr": "'***'", "as_json": '{"k": "***"}', "error": "ValueError('***')"}


async def test_a_real_exception_of_a_client_keeps_host_and_path_only() -> None:
    with pytest.raises(aiohttp.InvalidURL) as caught:
        async with aiohttp.ClientSession() as session:
            await session.get("http://user:hunter3@[bad/a.jpg?sig=abc")
    assert "sig=abc" in str(caught.value)

    assert "sig=abc" not in str(masked(error=repr(caught.value)))


async def test_a_refused_connection_names_the_host_only() -> None:
    refusing = "http://me:hunter3@127.0.0.1:9/a.jpg?X-Amz-Signature=feed"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await asyncio.wait_for(session.get(refusing), 5)

    said = str(masked(event=f"{refusing}: {caught.value}"))
    assert "hunter3" not in said
    assert "feed" not in said
    assert "127.0.0.1:9/a.jpg" in said


@given(secret=st.text(min_size=4, max_size=30).filter(lambda text: "*" not in text), before=st.text(), after=st.text())
def test_a_known_secret_is_never_seen(secret: str, before: str, after: str) -> None:
    assert secret not in Masker([secret]).text(f"{before}{secret}{after}")


@given(query=st.from_regex(r"[^\s\x00-\x1f\x7f]{1,40}", fullmatch=True))
def test_no_part_of_a_query_that_an_event_may_have_is_seen(query: str) -> None:
    url = f"https://shop.test/a.jpg?sig=SIG{query}SIG"

    assert "SIG" not in MASKER.text(f"{url}: HTTP 404")
    assert "SIG" not in MASKER.text(f"'{url}'")


def test_the_settings_know_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        _env_file=None,
        kafka_sasl_password=SecretStr("of Kafka"),
        qdrant_api_key=SecretStr("of Qdrant"),
        qdrant_url="https://me:of-a-url@qdrant.test",
    )

    assert settings.secrets() == ["of Kafka", "of Qdrant", "of-a-url"]
