"""Which addresses a picture may come from: a shop's URLs must not make the worker ask its own network.

An address is judged after its name is resolved, and the connection goes to the very addresses that were judged.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from schemas.dead_letters import Reason
from stream.images.fetched import FetchError
from stream.images.threads import PatientThreads

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_LOOKUPS = 128
"""Names looked up at once. A resolver that hangs keeps a thread for each, long after the picture is given up."""
_HTTP_PORTS = frozenset({80, 443})
_FIRST_FREE_PORT = 1024

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIXTOFOUR = IPv6Network("2002::/16")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
# Beyond what `ipaddress` of every Python that we run on knows not to be public.
_RESERVED: tuple[IPNetwork, ...] = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's own services, seen from its virtual machines
        "192.0.0.0/24",
        "192.88.99.0/24",
        "2001::/23",  # Teredo, ORCHID, ...
        "2001:db8::/32",
        "3fff::/20",
    )
)


class ForbiddenAddress(OSError):
    """A host name that stands for an address that is not public."""


def allowed(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    """Whether a picture may come from this address: a public one, or one of `networks`.

    An IPv6 address that carries an IPv4 address leads there, so that one must be allowed too.
    """
    if _within(address, networks):
        return True
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not _within(address, _RESERVED)
    if address.ipv4_mapped is not None:
        return allowed(address.ipv4_mapped, networks)
    if address not in _NAT64 and (address not in _UNICAST or _within(address, _RESERVED)):
        return False
    return all(allowed(carried, networks) for carried in _carried(address))


def _within(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _carried(address: IPv6Address) -> Iterator[IPv4Address]:
    bits = int(address)
    if address in _NAT64 or bits >> 32 & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(bits & 0xFFFFFFFF)
    if address in _SIXTOFOUR:
        yield IPv4Address(bits >> 80 & 0xFFFFFFFF)


def check_location(url: str, location: URL, networks: Sequence[IPNetwork]) -> None:
    """Judge a place by its spelling alone, before anything is looked up. `url` is what the message names.

    Raises:
        FetchError: `image_forbidden`.
    """
    if location.scheme not in ("http", "https"):
        raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: redirects to {location}")
    if location.raw_user is not None or location.raw_password is not None:
        raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: a user name or password in an image's URL")
    port = location.port or 0
    if port not in _HTTP_PORTS and port < _FIRST_FREE_PORT:
        raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: port {port} is not one of pictures")
    try:  # `raw_host` as the connection will see it: full-width digits and dots are ASCII there
        address = _address(location.raw_host or "")
    except ValueError:
        return  # a name: the resolver judges it
    if not allowed(address, networks):
        raise FetchError(Reason.IMAGE_FORBIDDEN, f"{url}: the address {address} is not public")


def _address(host: str) -> IPAddress:
    return ip_address(host.split("%", maxsplit=1)[0])  # without an IPv6 zone


class GuardedResolver(AbstractResolver):
    """Leaves out addresses that may not be asked. One that hangs holds up nobody but who asked it."""

    def __init__(self, networks: Sequence[IPNetwork], timeout_seconds: float) -> None:
        self._networks = networks
        self._timeout_seconds = timeout_seconds
        self._threads = PatientThreads(_LOOKUPS, "resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name.

        Raises:
            ForbiddenAddress: it has none that is allowed.
            OSError: it has none at all, or the resolver doesn't answer.
        """
        look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        found = await self._threads.run(look_up, self._timeout_seconds)
        public = [
            ResolveResult(hostname=host, host=str(where[0]), port=port, family=kind, proto=proto, flags=0)
            for kind, _, proto, _, where in found
            if allowed(_address(str(where[0])), self._networks)
        ]
        if found and not public:
            raise ForbiddenAddress(f"the host {host} has no public address")
        return public

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.close()
