"""Of calls with a secret key, to Toss's API and to the Data API: TLS, and no cookies."""

import ssl
from http.cookiejar import CookieJar
from typing import Any

import httpx


def tls_context(url: str = "https:") -> ssl.SSLContext:
    """Checks certificates and speaks TLS 1.2 or newer; some builds of Python leave the lowest version to OpenSSL.

    For plain http, which is on this machine, nobody's certificate is trusted: to read who is takes 15 ms.
    """
    is_plain = url.lower().startswith("http:")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class NoCookies(CookieJar):
    """Keeps none: one that isn't ASCII, set by a gateway, would make each further request fail."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Reads none."""
