"""Where messages may be sent: to addresses of the public internet, and to those on a list.

A name is resolved once, all its addresses are looked at, and the connection goes to one of those:
to resolve it again would let it mean something else by then. Whatever form a host is written in
(decimal, octal, with a name), it is the address that counts.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import urlsplit

from jobs.webhook_errors import ReceiverRefused

MOST_CHARACTERS: Final = 2000
"""Of a URL."""
Address = IPv4Address | IPv6Address

_PORTS: Final = {"https": 443, "http": 80}
_FIRST_FREE_PORT: Final = 1024
_WRITABLE: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?")
_NO_TARGETS: Final = (
    IPv4Network("168.63.129.16/32"),  # Azure tells its machines secrets here
    IPv4Network("192.0.0.0/24"),  # for protocols; Oracle's cloud tells secrets here
    IPv6Network("64:ff9b:1::/48"),  # NAT64 of a network's own
    IPv6Network("fec0::/10"),  # private, as it was called before fc00::/7
)
_HOLDS_IPV4: Final = (
    IPv6Network("64:ff9b::/96"),  # NAT64
    IPv6Network("::/96"),  # the compatible form of old
)
_HINT: Final = "an operator can list hosts and networks in STILLHOUSE_WEBHOOK_ALLOW"


@dataclass(frozen=True, slots=True)
class Receiver:
    """A URL, taken apart."""

    scheme: str
    host: str
    """In lower case, without brackets."""
    port: int
    target: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """What the header `Host` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an operator lets messages go to beside the public internet."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Allowed":
        """Read a list of names of hosts, addresses and networks, separated by commas.

        Raises:
            ValueError: one is none of these.
        """
        hosts: set[str] = set()
        networks: list[IPv4Network | IPv6Network] = []
        for word in (part.strip().lower() for part in text.split(",")):
            try:
                if word:
                    networks.append(ipaddress.ip_network(word.strip("[]"), strict=False))
            except ValueError:
                if not _HOST.fullmatch(word):
                    raise ValueError(
                        f"found {word!r}; expected a host's name, an address, or a network such as"
                        " 10.1.0.0/16"
                    ) from None
                hosts.add(word)
        return cls(frozenset(hosts), tuple(networks))

    def has(self, host: str, address: Address) -> bool:
        """Say whether a host may be spoken to at this address, wherever that is."""
        plain = _unwrapped(address)
        return host in self.hosts or any(
            one in network for one in (address, plain) for network in self.networks
        )


def receiver_of(url: str) -> Receiver:
    """Take a URL apart.

    Raises:
        ReceiverRefused: it is none that messages are ever sent to.
    """
    if len(url) > MOST_CHARACTERS or not _WRITABLE.fullmatch(url) or "\\" in url:
        raise ReceiverRefused(
            f"found a URL of {len(url)} characters; expected up to {MOST_CHARACTERS} of ASCII,"
            " without spaces and backslashes",
            hint="write other letters of a host as punycode, and others as %-escapes",
        )
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise ReceiverRefused(f"found no URL: {error}") from None
    if parts.scheme not in _PORTS:
        raise ReceiverRefused(f"found the scheme {parts.scheme[:20]!r}; expected https")
    if "@" in parts.netloc:
        raise ReceiverRefused(
            "found a user's name in the URL; expected none",
            hint="messages are signed: see that the signature is right",
        )
    if "#" in url:
        raise ReceiverRefused("found a fragment in the URL; expected none: nobody is sent it")
    if not (_HOST.fullmatch(host) or _is_ipv6(host)):
        raise ReceiverRefused(f"found the host {host[:80]!r}; expected a name or an address")
    port = _PORTS[parts.scheme] if port is None else port
    if port not in _PORTS.values() and port < _FIRST_FREE_PORT:
        raise ReceiverRefused(
            f"found the port {port}; expected 443, 80, or one from {_FIRST_FREE_PORT}"
        )
    path = parts.path or "/"
    return Receiver(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path)


def addresses_of(receiver: Receiver, allowed: Allowed) -> list[str]:
    """Return the addresses of a receiver, all of which may be spoken to.

    Raises:
        ReceiverRefused: one may not, or there is none.
    """
    is_plain = receiver.scheme == "http"
    if is_plain and allowed == Allowed():
        raise _unencrypted()
    try:
        found = socket.getaddrinfo(receiver.host, receiver.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ReceiverRefused(
            f"found no address of the host {receiver.host[:80]!r}",
            hint="write a name that this server can resolve",
        ) from None
    addresses = [str(one[4][0]) for one in found]
    for text in addresses:
        address = ipaddress.ip_address(text)
        if allowed.has(receiver.host, address):
            continue
        if not is_public(address):
            # Not which one: names of a private network are nobody's business.
            raise ReceiverRefused(
                f"found the host {receiver.host[:80]!r}, which leads into a private network;"
                " expected one of the public internet",
                hint=_HINT,
            )
        if is_plain:
            raise _unencrypted()
    return list(dict.fromkeys(addresses))


def is_public(address: Address) -> bool:
    """Say whether an address is one of the public internet, and of no machine's own services."""
    plain = _unwrapped(address)
    return (
        plain.is_global
        and not plain.is_multicast
        and not any(plain in network for network in _NO_TARGETS)
    )


def _unwrapped(address: Address) -> Address:
    """Return the address that packets go to in the end."""
    if isinstance(address, IPv4Address):
        return address
    if (inner := address.ipv4_mapped or address.sixtofour) is not None:
        return inner
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _HOLDS_IPV4) and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host


def _unencrypted() -> ReceiverRefused:
    return ReceiverRefused("found the scheme http; expected https", hint=_HINT)
