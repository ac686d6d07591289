"""Which addresses a workflow's requests may reach, over the whole space and in every spelling."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.kernel.errors import InvalidInput
from gesta.workflows.nodes.addresses import address_of, may_reach, networks_of

PRIVATE = [
    IPv4Network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32"),
    )
]
PRIVATE6 = [
    IPv6Network(each)
    for each in (
        *("::/128", "::1/128", "::/96", "100::/64", "2001::/32", "2001:db8::/32", "fc00::/7", "fe80::/10", "fec0::/10"),
        *("ff00::/8", "64:ff9b:1::/48", "3fff::/20"),
    )
]


@st.composite
def within(draw: st.DrawFn, networks: list[IPv4Network] | list[IPv6Network]) -> IPv4Address | IPv6Address:
    network = draw(st.sampled_from(networks))
    return network[draw(st.integers(0, network.num_addresses - 1))]


def six_forms(address: IPv4Address) -> list[IPv6Address]:
    """The IPv6 addresses that stand for an IPv4 one: mapped, translated twice, 6to4."""
    number = int(address)
    return [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0xFFFF << 48) | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
    ]


@given(within(PRIVATE))
def test_no_private_address_is_reached_in_any_form(address: IPv4Address) -> None:
    assert not may_reach(address)
    for form in six_forms(address):
        assert not may_reach(form)


@given(within(PRIVATE6))
def test_no_private_ipv6_address_is_reached(address: IPv6Address) -> None:
    assert not may_reach(address)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_what_is_reached_is_public_by_the_standard_library_too(address: IPv4Address) -> None:
    if may_reach(address):
        assert address.is_global
        assert not address.is_multicast
        assert not any(address in network for network in PRIVATE)
    assert all(may_reach(form) is may_reach(address) for form in six_forms(address))


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_the_same_of_ipv6(address: IPv6Address) -> None:
    if may_reach(address):
        assert address.is_global
        assert not any(address in network for network in PRIVATE6)


@pytest.mark.parametrize("text", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001::1"])
def test_the_public_network_is_reached(text: str) -> None:
    address = address_of(text)
    assert address is not None
    assert may_reach(address)


@given(within(PRIVATE))
def test_what_the_operator_allows_is_reached_in_any_form(address: IPv4Address) -> None:
    network = ip_network(f"{address}/30", strict=False)
    assert may_reach(address, [network])
    assert all(may_reach(form, [network]) for form in six_forms(address))
    outside = IPv4Address(int(address) ^ 0b100)
    assert may_reach(outside, [network]) is may_reach(outside)


@given(within(PRIVATE))
def test_every_spelling_that_the_system_reads_is_the_same_address(address: IPv4Address) -> None:
    """Decimal, hexadecimal, octal and short forms, as getaddrinfo gives them to the check."""
    number = int(address)
    first, rest = number >> 24, number & 0xFFFFFF
    for text in (
        str(number),
        hex(number),
        f"0{number:o}",
        f"{first}.{rest}",
        f"0x{first:x}.{rest}",
        f"0{first:o}.{rest}",
    ):
        for *_, found in socket.getaddrinfo(text, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST):
            resolved = address_of(str(found[0]))
            assert resolved == address
            assert resolved is not None
            assert not may_reach(resolved)


def test_zones_do_not_hide_an_address() -> None:
    address = address_of("fe80::1%eth0")
    assert address is not None
    assert not may_reach(address)
    assert address_of("example.com") is None


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "localhost", "10.0.0.0/8,11.0.0.0/8", "::g/3"])
def test_a_setting_that_is_no_network_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"workflows\.allow_networks"):
        networks_of(["10.0.0.0/8", text])


def test_networks_may_be_written_loosely() -> None:
    assert networks_of([" 10.1.2.3/8 ", "::1"]) == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
