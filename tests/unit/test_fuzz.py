"""Anything for a picture, anything for a URL: nothing but a named reason may come of it.

10,000 cases, always; `FRESHLINE_FUZZ=20` makes it twenty times as many.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from io import BytesIO
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage
from yarl import URL

from encoders.pixels import ImageError, decode
from schemas.bundles import Resize
from schemas.dead_letters import Reason
from schemas.events import Image
from stream.images.addresses import allowed, check_location
from stream.images.download import retry_after
from stream.images.fetched import FetchError
from stream.images.fetcher import ImageFetcher, ImageSettings
from tests.factories import NOW
from tests.hostile import PRIVATE, chunk, inside_ipv6, jpeg_with, picture, png, segment, spellings

SCALE = int(os.environ.get("FRESHLINE_FUZZ", "1"))

F = TypeVar("F", bound=Callable[..., Any])


def cases(number: int) -> Callable[[F], F]:
    """So many, times the scale."""
    return settings(
        max_examples=number * SCALE, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )


# --- pictures -------------------------------------------------------------------------------------------------------


def _saved(mode: str, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    PILImage.new("RGB", (24, 20), (200, 30, 90)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


SOUND = [
    *(picture(kind, (24, 20)) for kind in ("JPEG", "PNG", "WEBP")),
    picture("JPEG", (24, 20), progressive=True, comment=b"hello", exif=PILImage.Exif()),
    picture("WEBP", (24, 20), lossless=True),
    _saved("CMYK", "JPEG"),
    _saved("P", "PNG", transparency=0),
    _saved("L", "PNG"),
    _saved("RGBA", "WEBP", lossless=True),
    _saved("RGB", "PNG", save_all=True, append_images=[PILImage.new("RGB", (24, 20))]),
    _saved("RGB", "WEBP", save_all=True, append_images=[PILImage.new("RGB", (24, 20))]),
    png(8, 8, chunk(b"tEXt", b"k\x00v"), chunk(b"eXIf", b"II*\x00\x08\x00\x00\x00\x00\x00")),
    jpeg_with(
        segment(0xE1, b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00") + segment(0xE2, b"ICC_PROFILE\x00\x01\x01")
    ),
]


damages = st.tuples(st.floats(0, 1), st.integers(0, 4), st.binary(min_size=1, max_size=8))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sound file with some bytes changed, cut out, repeated, or cut off."""
    data = bytearray(draw(st.sampled_from(SOUND)))
    for at, action, value in draw(st.lists(damages, min_size=1, max_size=6)):
        where = int(at * at * len(data))  # mostly in the header
        match action:
            case 0 | 1:
                data[where : where + len(value)] = value
            case 2:
                del data[where : where + len(value)]
            case 3:
                data[where:where] = value
            case _:
                data[where:where] = data[where : where + 8 * len(value)]
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@cases(5000)
@given(data=damaged() | st.binary(max_size=200), resize=st.sampled_from(("crop", "pad", "squash")))
@example(data=b"\xff\xd8\xff", resize="crop")
@example(data=b"\x89PNG\r\n\x1a\n", resize="pad")
@example(data=b"RIFF\x00\x00\x00\x00WEBPVP8X", resize="squash")
def test_any_bytes_are_a_picture_or_are_refused(data: bytes, resize: Resize) -> None:
    try:
        pixels = decode(data, size=16, resize=resize, max_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.shape == (16, 16, 3)


# --- URLs and addresses ---------------------------------------------------------------------------------------------

REASONS = (Reason.IMAGE_FORBIDDEN, Reason.IMAGE_MISSING, Reason.IMAGE_UNAVAILABLE)

hosts = st.one_of(
    st.sampled_from(PRIVATE).flatmap(lambda address: st.sampled_from(spellings(address))),
    st.text(max_size=12),
    st.sampled_from(("localhost", "a.invalid", "xn--a", "[::1]", "[", "]", "a..b", "%00", "a" * 70 + ".invalid")),
)
urls = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(("http://", "https://", "HTTP://", "http:/", "http:///", "http:\\\\", "file:///", "ftp://", "")),
    hosts,
    st.sampled_from(("", ":80", ":0", ":22", ":6379", ":99999", ":-1", ":x", ":", ":8080:80")),
    st.sampled_from(("", "/", "/a.jpg", "/../a", "/%2e%2e", "\\a", "?", "#", "/ ", "/\r\nHost: b", "@b", "/\ud800")),
    st.text(max_size=6),
)


@pytest.fixture(scope="module")
def unreachable() -> Any:
    """No test of this file leaves this machine: every name is one of nobody, and every connection is a failure."""
    with pytest.MonkeyPatch.context() as patched:

        def nobody(name: str, *_: Any) -> Any:
            raise OSError(f"nobody looks up {name!r} here")

        patched.setattr("socket.getaddrinfo", nobody)
        yield


async def _fetch_all(urls: list[str]) -> None:
    async with ImageFetcher(ImageSettings(attempts=1, timeout_seconds=5)) as fetcher:
        for url in urls:
            with pytest.raises(FetchError) as refusal:
                await fetcher.fetch(Image.model_construct(url=url, digest=None))
            assert refusal.value.reason in REASONS


@cases(300)
@given(some=st.lists(urls | st.text(max_size=30), min_size=10, max_size=10))
@pytest.mark.usefixtures("unreachable")
async def test_any_url_is_refused_with_a_reason(some: list[str]) -> None:
    await _fetch_all(some)


@cases(1000)
@given(url=st.sampled_from(PRIVATE).flatmap(lambda address: st.sampled_from(spellings(address))))
def test_no_spelling_of_a_private_address_passes_for_a_public_one(url: str) -> None:
    try:
        location = URL(f"http://{url}/a.jpg")
        check_location(url, location, [])
    except (FetchError, ValueError):
        return
    assert not _is_address(location.raw_host or ""), "what is no address goes to the resolver, and is judged after it"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@cases(1000)
@given(number=st.integers(0, 2**32 - 1))
def test_an_address_inside_another_is_allowed_only_if_it_is_itself(number: int) -> None:
    address = IPv4Address(number)
    outer = [IPv6Address(text) for text in inside_ipv6(str(address))]

    if not allowed(address, []):
        assert not any(allowed(each, []) for each in outer)
    assert allowed(address, [IPv4Network(address)])
    assert all(allowed(each, [IPv6Network(each)]) for each in outer)


numbers = st.integers(-1, 99_999)
zones = st.sampled_from(("", " GMT", " -0000", " +9999", " EST"))
dates = st.builds("Wed, {} Nov {} {}:00:00{}".format, numbers, numbers, numbers, zones)


@cases(1000)
@given(text=st.text(max_size=40) | st.text("0123456789", max_size=30) | dates)
def test_any_retry_after_is_a_number_of_seconds(text: str) -> None:
    assert 0 <= retry_after(text, NOW) < float("inf")
