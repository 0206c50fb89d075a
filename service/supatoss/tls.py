"""TLS to services that are called with a secret key: Toss's API and the Data API."""

import ssl

import httpx


def tls_context() -> ssl.SSLContext:
    """Checks certificates and speaks TLS 1.2 or newer; some builds of Python leave the lowest version to OpenSSL."""
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
