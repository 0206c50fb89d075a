"""Checks of URLs that are called with a secret: Toss's API, a Supabase project, an incoming webhook."""

import ipaddress
import re
from urllib.parse import urlsplit

TOSS_API_URL = "https://api.tosspayments.com"


def check_url(value: str, example: str) -> str:
    """A URL without path or trailing slash, https unless it is this machine.

    Raises ValueError, whose message continues a sentence that begins with the setting's name.
    """
    value = value.strip().rstrip("/")
    expected = f"should be an address such as {example}"
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError(expected) from None
    is_plain = not (url.path or url.query or url.fragment or "@" in url.netloc or re.search(r"[\s\x00-\x1f]", value))
    if url.scheme not in ("http", "https") or not host or not is_plain:
        raise ValueError(expected)
    if url.scheme == "http" and not is_loopback(host):
        raise ValueError("should begin with https:// unless the host is this machine")
    return value


def check_secret_url(value: str) -> str:
    """A URL whose path is itself a secret, such as an incoming webhook's: https unless it is this machine.

    Raises ValueError with what it should be; the message never shows the URL.
    """
    expected = "should be an https:// address, such as an incoming webhook of Slack or Discord"
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError(expected) from None
    if not host or "@" in url.netloc or re.search(r"[\s\x00-\x1f]", value):
        raise ValueError(expected)
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise ValueError(expected)
    return value


def check_collector_url(value: str) -> str:
    """The base URL of an OTLP collector, which may be in a private network and speak plain http.

    Raises ValueError with what it should be.
    """
    expected = "should be an address such as http://collector.internal:4318, without user or password"
    value = value.strip()
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError(expected) from None
    is_plain = not (url.query or url.fragment or "@" in url.netloc or re.search(r"[\s\x00-\x1f]", value))
    if url.scheme not in ("http", "https") or not host or not is_plain:
        raise ValueError(expected)
    return value


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
