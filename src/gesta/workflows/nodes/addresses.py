"""Which network addresses a workflow's requests may reach. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import inet_aton
from typing import Final

from gesta.kernel.errors import InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Not of the public network, or of one machine's own surroundings: IANA's special-purpose registries, and what clouds
#: answer their own machines with on an address that looks public.
REFUSED: Final[tuple[Network, ...]] = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_TRANSLATED: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("::ffff:0:0:0/96"))
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_NUMBERS: Final = re.compile(r"[0-9][0-9A-Fa-fxX]*(\.[0-9][0-9A-Fa-fxX]*){0,3}\.?")


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of a setting. Raises InvalidInput, naming the one that is none."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text.strip(), strict=False))
        except ValueError:
            raise InvalidInput(
                f"workflows.allow_networks has {text[:64]!r}, which is no network as 10.1.0.0/16 or fd00::/8.",
                field="workflows.allow_networks",
                where="settings",
            ) from None
    return tuple(found)


def may_reach(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether it is an address of the public network, or in one of the networks that the operator allows.

    An IPv6 address that stands for an IPv4 one (mapped, translated, 6to4) is what that one is.
    """
    inner = _inner(address)
    if inner is not None:
        return may_reach(inner, allowed)
    if any(address.version == network.version and address in network for network in allowed):
        return True
    if any(address.version == network.version and address in network for network in REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    number = int(address)
    if address in _MAPPED or any(address in network for network in _TRANSLATED):
        return IPv4Address(number & 0xFFFF_FFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address(number >> 80 & 0xFFFF_FFFF)
    return None


def address_of(text: str) -> Address | None:
    """An address as a resolver gives it; None for what is none. A zone (`fe80::1%eth0`) does not count."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def written_address(host: str) -> Address | None:
    """The address that a URL's host says by itself, also in the short, octal and hexadecimal spellings that resolvers
    still take (`0`, `0x7f.1`, `2852039166`); None for a name."""
    address = address_of(host)
    if address is None and _NUMBERS.fullmatch(host):
        with suppress(OSError):
            return IPv4Address(inet_aton(host))
    return address
