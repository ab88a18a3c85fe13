"""Pictures that mean harm: each is refused with its reason, in bounded time and memory, or it is a picture."""

from __future__ import annotations

from collections import Counter

import pytest

from encoders.headers import MAX_CHUNKS, MAX_METADATA
from encoders.pixels import ImageError, decode
from schemas.dead_letters import Reason
from tests.hostile import bombs, chunk, jpeg_with, picture, png, polyglots, segment, truncated

pytestmark = pytest.mark.filterwarnings("ignore:(Corrupt EXIF|Tag data|Truncated)")  # Pillow's, and of no interest

# Those that are not too large, by how their names begin: pictures after all, or what Pillow itself finds out.
OTHERWISE = {
    "png: an animation": None,
    "jpeg: EXIF that points": None,
    "jpeg: EXIF with 65,535": None,
    "png: a text that unpacks": Reason.IMAGE_CORRUPT,
    "png: a profile that unpacks": Reason.IMAGE_CORRUPT,
    "png: texts that unpack": Reason.IMAGE_CORRUPT,
    "jpeg: 16 MB of padding": Reason.IMAGE_CORRUPT,
    "jpeg: 16 MB of escapes": Reason.IMAGE_CORRUPT,
    "jpeg: 16 MB of junk": Reason.IMAGE_UNSUPPORTED,
}


def refusal(data: bytes) -> Reason | None:
    """The reason, or None for a picture."""
    try:
        pixels = decode(data, size=32, resize="crop")
    except ImageError as error:
        return error.reason
    assert pixels.shape == (32, 32, 3)
    return None


@pytest.mark.timeout(120)  # minutes for some single one, were it taken seriously
def test_no_bomb_goes_off() -> None:
    for name, data in bombs():
        reason = refusal(data)
        wanted = [reason for start, reason in OTHERWISE.items() if name.startswith(start)] or [Reason.IMAGE_TOO_LARGE]
        assert [reason] == wanted, name


def test_a_truncated_picture_is_refused_wherever_it_is_cut() -> None:
    found = Counter(refusal(data) for _, data in truncated())

    assert found == {Reason.IMAGE_CORRUPT: 396, Reason.IMAGE_UNSUPPORTED: 4}  # the latter: not a byte is left


@pytest.mark.parametrize(("name", "data", "sound"), list(polyglots()), ids=[name for name, _, _ in polyglots()])
def test_two_things_in_one_are_judged_by_their_first_bytes(name: str, data: bytes, sound: bool) -> None:
    reason = refusal(data)

    assert (reason is None) is sound, name
    assert reason in (None, Reason.IMAGE_CORRUPT, Reason.IMAGE_UNSUPPORTED)


def test_a_large_header_within_the_bounds_is_taken() -> None:
    profile = segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + bytes(60_000))
    exif = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + b" " * 60_000)

    assert refusal(jpeg_with((profile + exif) * 50)) is None
    assert refusal(png(8, 8, *[chunk(b"tEXt", b"k\x00v")] * (MAX_CHUNKS - 10))) is None
    assert refusal(png(8, 8, chunk(b"eXIf", bytes(MAX_METADATA - 1000)))) is None
    assert refusal(picture("JPEG", progressive=True)) is None


@pytest.mark.parametrize("filler", [b"\x00" * 100, b"\xff" * 100, b"\xff\x00" * 100])
def test_a_little_junk_between_segments_is_skipped_as_decoders_do(filler: bytes) -> None:
    sound = picture("JPEG")
    first = 4 + int.from_bytes(sound[4:6], "big")

    assert refusal(sound[:first] + filler + sound[first:]) is None
