"""Decides which addresses pages may be fetched from, at the moment a socket opens.

The guard is the network backend of the connection pool, so redirects, retries and DNS rebinding pass the same
check by construction: every address a name resolves to must be allowed, and the connection goes to a checked
address, never to a second look-up. Knows nothing of HTTP.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import httpcore2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WEB_PORTS = frozenset({80, 443})
DEFAULT_PORTS = {"http": 80, "https": 443}

# `is_global` of Python 3.11 lets these through; each has been used to reach an internal service.
REFUSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(net)
    for net in (
        "100.64.0.0/10",  # carrier-grade NAT; 100.100.100.200 is Alibaba's metadata service
        "168.63.129.16/32",  # Azure's wire server
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is Oracle's metadata service
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved and broadcast
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # local NAT64
        "100::/64",  # discard
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # unique local; fd00:ec2::254 is AWS's metadata service
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)

# A name that looks like a public one: labels, a dot, a top-level domain that is not a number. The C resolver would
# take "2130706433", "0x7f.1" and "127.1" for addresses, which `ipaddress` does not know.
PUBLIC_NAME = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9-]{2,63}", re.IGNORECASE
)
INTERNAL_SUFFIXES = (
    ".localhost",
    ".local",
    ".internal",
    ".intranet",
    ".lan",
    ".home",
    ".corp",
    ".svc",
    ".home.arpa",
    ".in-addr.arpa",
    ".ip6.arpa",
    ".onion",
    ".test",
    ".invalid",
)


class BlockedAddress(httpcore2.ConnectError):
    """The address may not be fetched from."""


@dataclass(frozen=True, slots=True)
class AllowedNet:
    """A network the operator allows besides the public ones. `port` None: ports 80 and 443."""

    network: Network
    port: int | None = None

    def allows(self, address: Address, port: int) -> bool:
        """Tell whether this entry covers an address and port."""
        port_fits = port == self.port if self.port is not None else port in WEB_PORTS
        return port_fits and address.version == self.network.version and address in self.network


def parse_allowed_net(text: str) -> AllowedNet:
    """Read `CIDR`, `CIDR:port` or `[IPv6 CIDR]:port`. Raises ValueError with the remedy."""
    match = re.fullmatch(r"\[(?P<six>[^\]]+)\](?::(?P<port6>\d+))?|(?P<four>[\d./]+)(?::(?P<port4>\d+))?", text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not a network: write CIDR or CIDR:port, IPv6 in brackets, as in 127.0.0.0/8:8900"
        )
    network = ipaddress.ip_network(match["six"] or match["four"])
    port = match["port6"] or match["port4"]
    if port is not None and not 1 <= int(port) <= 65_535:
        raise ValueError(f"{text!r}: the port must be between 1 and 65535")
    return AllowedNet(network, int(port) if port else None)


@dataclass(frozen=True, slots=True)
class Guard:
    """The rule: public addresses on ports 80 and 443, and what the operator allows."""

    allowed: tuple[AllowedNet, ...] = ()

    def permits(self, address: Address, port: int) -> bool:
        """Tell whether a socket may be opened to an address and port."""
        if any(net.allows(address, port) for net in self.allowed):
            return True
        public = address.is_global and not address.is_reserved and not any(address in net for net in REFUSED)
        return port in WEB_PORTS and public

    def may_permit(self, url: str) -> bool:
        """Tell, without looking a name up, whether a page lies where this rule does not refuse to go."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return False
        try:
            return self.permits(ipaddress.ip_address(parts.hostname), parts.port or DEFAULT_PORTS[parts.scheme])
        except ValueError:
            return True

    async def resolve(self, host: str, port: int) -> str:
        """Return one checked address of a host. Raises BlockedAddress, or ConnectError when the name is unknown."""
        addresses = await self._addresses(host, port)
        if not all(self.permits(address, port) for address in addresses):
            raise BlockedAddress("the address is not public")
        return str(addresses[0])

    async def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            return [ipaddress.ip_address(host.strip("[]"))]
        except ValueError:
            pass
        if not PUBLIC_NAME.fullmatch(host.rstrip(".")) or host.rstrip(".").lower().endswith(INTERNAL_SUFFIXES):
            raise BlockedAddress("the name is not a public one")
        return _unique(await look_up(host, port))


def _unique(rows: Iterable[str]) -> list[Address]:
    return [ipaddress.ip_address(row) for row in dict.fromkeys(rows)]


async def look_up(host: str, port: int) -> list[str]:
    """Resolve a name to its addresses. Raises ConnectError."""
    try:
        rows = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(f"cannot resolve the name: {error}") from error
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in rows]


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens sockets only to checked addresses. SNI and Host still come from the URL, so certificates are verified."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (the base class has it)
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Check every address of the host, then connect to one of them."""
        # The socket layer would take 99999 modulo 65,536, past any list of ports.
        if not 1 <= port <= 65_535:
            raise BlockedAddress("the port is not a port")
        address = await self._guard.resolve(host, port)
        return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)
