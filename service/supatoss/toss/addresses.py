"""Addresses: those that Toss publishes, and whose an address is when uses are counted."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PUBLISHED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(address)
    for address in (
        *("13.124.18.147", "13.124.108.35", "3.36.173.151", "3.38.81.32"),
        *("115.92.221.121", "115.92.221.122", "115.92.221.123"),
        *("115.92.221.125", "115.92.221.126", "115.92.221.127"),
    )
)
"""From which Toss sends webhooks, for test and live (docs.tosspayments.com, firewall; 2026-09). They prove nothing."""

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("fc00::/7", "fe80::/10"),
    )
)
_NOT_A_SENDER = (*LOOPBACK, *_PRIVATE)
"""Loopback and private networks: what connects from there is a proxy, and everybody comes through it."""

IPV6_PREFIX = 64
"""Of IPv6, a subscriber has a /64 at least, and may use a new address for each delivery."""


def parse_address(text: str) -> Address | None:
    """The address, None where it is none. An IPv4 address in IPv6's form is the IPv4 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def sender_of(address: Address | None) -> str | None:
    """Whose uses are counted together; None where the sender's own address isn't known."""
    if address is None or any(address in network for network in _NOT_A_SENDER):
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)
