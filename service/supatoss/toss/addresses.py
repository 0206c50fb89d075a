"""From which addresses Toss sends webhooks."""

import ipaddress

from supatoss.addresses import Network

PUBLISHED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(address)
    for address in (
        *("13.124.18.147", "13.124.108.35", "3.36.173.151", "3.38.81.32"),
        *("115.92.221.121", "115.92.221.122", "115.92.221.123"),
        *("115.92.221.125", "115.92.221.126", "115.92.221.127"),
    )
)
"""From which Toss sends webhooks, for test and live (docs.tosspayments.com, firewall; 2026-09). They are no proof."""
