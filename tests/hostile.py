"""Inputs that mean harm, made by code: pictures that blow up, URLs that lead inside. None is kept as a file."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from ipaddress import IPv4Address
from typing import Any

import numpy as np
from PIL import Image


def picture(kind: str, size: tuple[int, int] = (48, 32), **options: Any) -> bytes:
    """A sound picture of noise, which no encoder makes small."""
    pixels = np.random.default_rng(7).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


# --- PNG ------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *before: bytes, pixels: bytes | None = None, after: bytes = b"") -> bytes:
    """A PNG in grey, with chunks before and after its pixels."""
    if pixels is None:
        pixels = zlib.compress(b"\x00" * ((width + 1) * height))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + chunk(b"IDAT", pixels) + after + chunk(b"IEND", b"")


@cache
def zeros(amount: int) -> bytes:
    """A deflated stream of so many zeros, a thousandth of the size."""
    packer = zlib.compressobj(9)
    block = bytes(1_000_000)
    return b"".join(packer.compress(block) for _ in range(amount // len(block))) + packer.flush()


def png_bombs() -> Iterator[tuple[str, bytes]]:
    yield "png: the most pixels that its header can name", png(2**31 - 1, 2**31 - 1, pixels=zeros(1_000_000))
    yield "png: 60 megapixels in 60 kB", png(10_000, 6_000, pixels=zeros(61_000_000))
    yield "png: a second header, larger than the first", _second_header()
    yield "png: a text that unpacks to 61 MB", png(8, 8, chunk(b"zTXt", b"k\x00\x00" + zeros(61_000_000)))
    yield "png: a profile that unpacks to 61 MB", png(8, 8, chunk(b"iCCP", b"p\x00\x00" + zeros(61_000_000)))
    text = chunk(b"zTXt", b"k\x00\x00" + zeros(1_000_000))
    yield "png: texts that unpack to 500 MB together", png(8, 8, *[text] * 500)
    yield "png: a million chunks", png(8, 8, *[chunk(b"tEXt", b"")] * 1_000_000)
    yield "png: a million chunks after the pixels", png(8, 8, after=chunk(b"tEXt", b"") * 1_000_000)
    yield "png: a million pieces of pixels", png(8, 8, pixels=b"", after=chunk(b"IDAT", b"") * 1_000_000)
    yield "png: 10 MB of text", png(8, 8, chunk(b"tEXt", b"k\x00" + b"x" * 10_000_000))
    yield "png: an animation of 2^31 frames", png(8, 8, chunk(b"acTL", struct.pack(">II", 2**31, 0)))


def _second_header() -> bytes:
    return png(8, 8, chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)))


# --- JPEG -----------------------------------------------------------------------------------------------------------


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_with(segments: bytes, sound: bytes | None = None) -> bytes:
    """A sound JPEG with more in its header."""
    sound = sound or picture("JPEG")
    return sound[:2] + segments + sound[2:]


def jpeg_sized(width: int, height: int, sound: bytes | None = None) -> bytes:
    """A sound JPEG whose header lies about its size."""
    data = bytearray(sound or picture("JPEG"))
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_of_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again: each goes over the whole picture."""
    sound = picture("JPEG", progressive=True)
    last, end = sound.rindex(b"\xff\xda"), sound.rindex(b"\xff\xd9")
    return jpeg_sized(width, height, sound[:end] + sound[last:end] * scans + sound[end:])


def jpeg_bombs() -> Iterator[tuple[str, bytes]]:
    yield "jpeg: the most pixels that its header can name", jpeg_sized(65_535, 65_535)
    yield "jpeg: a thousand scans of 49 megapixels", jpeg_of_scans(7000, 7000, 1000)
    yield "jpeg: a thousand scans of a small picture", jpeg_of_scans(48, 32, 1000)
    yield "jpeg: four million segments", jpeg_with(segment(0xFE, b"") * 4_000_000)
    yield "jpeg: 16 MB of junk in its header", jpeg_with(b"\x00" * 16_000_000)
    yield "jpeg: 16 MB of padding in its header", jpeg_with(b"\xff" * 16_000_000)
    yield "jpeg: 16 MB of escapes in its header", jpeg_with(b"\xff\x00" * 8_000_000)
    yield "jpeg: 16 MB of EXIF", jpeg_with(segment(0xE1, b"Exif\x00\x00" + b"x" * 65_000) * 250)
    yield (
        "jpeg: 16 MB of colour profile",
        jpeg_with(b"".join(segment(0xE2, b"ICC_PROFILE\x00\x01\xff" + b"x" * 65_000) for _ in range(250))),
    )
    yield "jpeg: EXIF that points to itself", jpeg_with(segment(0xE1, _circular_exif()))
    yield "jpeg: EXIF with 65,535 entries", jpeg_with(segment(0xE1, _crowded_exif()))


def _circular_exif() -> bytes:
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)  # the EXIF directory, at the place of the first
    return b"Exif\x00\x00II*\x00" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 8)


def _crowded_exif() -> bytes:
    entry = struct.pack("<HHII", 0x0112, 2, 2**31, 8)
    return b"Exif\x00\x00II*\x00" + struct.pack("<IH", 8, 65_535) + entry * 5000


# --- WebP -----------------------------------------------------------------------------------------------------------


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\x00" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def webp_bombs() -> Iterator[tuple[str, bytes]]:
    lossless = picture("WEBP", lossless=True)[12:]
    sound = (lossless[:4], lossless[8:])
    yield "webp: a canvas of 2^24 by 2^24", riff(_canvas(2**24, 2**24), sound)
    yield "webp: the most pixels of a lossless one", riff((b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(64)))
    yield (
        "webp: the most pixels of a lossy one",
        riff((b"VP8 ", b"\x10\x00\x00\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(64))),
    )
    yield "webp: a million chunks", riff(_canvas(48, 32), *[(b"ABCD", b"")] * 1_000_000, sound)
    yield "webp: 10 MB of EXIF", riff(_canvas(48, 32, 8), sound, (b"EXIF", bytes(10_000_000)))
    yield "webp: a hundred thousand frames", riff(_canvas(48, 32, 2), *[(b"ANMF", bytes(24))] * 100_000)


def bombs() -> Iterator[tuple[str, bytes]]:
    """All of them, each with its name, one by one: together they are large."""
    yield from png_bombs()
    yield from jpeg_bombs()
    yield from webp_bombs()


# --- truncated, and two things in one ---------------------------------------------------------------------------------


def truncated() -> Iterator[tuple[str, bytes]]:
    """Sound pictures, cut off at every hundredth part."""
    kinds: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 90},
        "progressive JPEG": {"progressive": True},
        "PNG": {},
        "WEBP": {"lossless": True},
    }
    for name, options in kinds.items():
        sound = picture(name.split()[-1], **options)
        for part in range(100):
            yield f"{name}, {part} %", sound[: len(sound) * part // 100]


def polyglots() -> Iterator[tuple[str, bytes, bool]]:
    """Name, bytes, and whether it is a sound picture for all that is behind or inside it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("evil.html", "<script>alert(1)</script>")
    script = b"<html><script>alert(1)</script>"
    for kind in ("JPEG", "PNG", "WEBP"):
        sound = picture(kind)
        yield f"{kind} and zip", sound + archive.getvalue(), True
        yield f"{kind} and html", sound + script, True
        yield f"html and {kind}", script + sound, False
        yield f"GIF and {kind}", b"GIF89a" + sound, False
    yield "JPEG with html inside", jpeg_with(segment(0xFE, script)), True
    yield "PNG with html inside", png(8, 8, chunk(b"tEXt", b"k\x00" + script)), True
    yield "JPEG called PNG", b"\x89PNG\r\n\x1a\n" + picture("JPEG"), False
    yield "PNG called JPEG", b"\xff\xd8\xff" + picture("PNG"), False
    yield "PNG called WebP", b"RIFF\x00\x00\x00\x00WEBP" + picture("PNG"), False
    yield "SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='http://169.254.169.254/'/></svg>", False
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%id) (r) file", False


# --- addresses --------------------------------------------------------------------------------------------------------

PRIVATE = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",  # metadata of most clouds
    "169.254.170.2",  # of containers at AWS
    "100.100.100.200",  # of Alibaba Cloud, inside carrier-grade NAT
    "100.64.0.1",
    "168.63.129.16",  # of Azure
    "192.0.0.192",  # of Oracle Cloud
    "198.18.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
)

PRIVATE_V6 = (
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata at AWS
    "ff02::1",
    "ff0e::1",
    "100::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "64:ff9b:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:20::1",
)


def spellings(address: str) -> list[str]:
    """One IPv4 address as hosts of URLs may spell it: in the ways of C, of Unicode, and inside IPv6."""
    number = int(IPv4Address(address))
    a, b, c, d = address.split(".")
    wide = str.maketrans("0123456789.", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff0e")
    return [
        address,
        f"{address}.",
        str(number),
        hex(number),
        f"0{number:o}",
        f"0x{int(a):x}.0x{int(b):x}.0x{int(c):x}.0x{int(d):x}",
        f"0{int(a):o}.0{int(b):o}.0{int(c):o}.0{int(d):o}",
        f"0{int(a):o}.{b}.0x{int(c):x}.{d}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        address.translate(wide),
        address.replace(".", "\u3002"),
        f"user@{address}",
        f"user:secret@{address}",
        f"images.example.com@{address}",
        *(f"[{each}]" for each in inside_ipv6(address)),
    ]


def inside_ipv6(address: str) -> list[str]:
    """IPv6 addresses that lead to this IPv4 address."""
    number = int(IPv4Address(address))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    client = number ^ 0xFFFFFFFF
    return [
        f"::ffff:{address}",
        f"::ffff:{high}:{low}",
        f"0:0:0:0:0:ffff:{high}:{low}",
        f"::{address}",  # "compatible"
        f"::ffff:0:{high}:{low}",  # translated
        f"64:ff9b::{high}:{low}",  # NAT64
        f"64:ff9b:1::{high}:{low}",
        f"2002:{high}:{low}::1",  # 6to4
        f"2001:0:4136:e378:8000:63bf:{client >> 16:x}:{client & 0xFFFF:x}",  # Teredo
        f"2606:4700::5efe:{high}:{low}",  # ISATAP
        f"2606:4700::200:5efe:{high}:{low}",
    ]
