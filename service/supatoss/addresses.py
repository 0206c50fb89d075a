"""Whose an address is when uses are counted. Pure."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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


def network_of(address: Address) -> str:
    """What one subscriber has: an IPv4 address, or the /64 of an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def sender_of(address: Address | None) -> str | None:
    """Whose uses are counted together; None where the sender's own address isn't known."""
    if address is None or any(address in network for network in _NOT_A_SENDER):
        return None
    return network_of(address)
