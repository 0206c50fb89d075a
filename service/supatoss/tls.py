"""TLS to services that are called with a secret key: Toss's API and the Data API."""

import ssl

import httpx


def tls_context(url: str = "https:") -> ssl.SSLContext:
    """Checks certificates and speaks TLS 1.2 or newer; some builds of Python leave the lowest version to OpenSSL.

    For plain http, which is on this machine, nobody's certificate is trusted: to read who is takes 15 ms.
    """
    is_plain = url.lower().startswith("http:")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
