import ssl
from typing import Any, cast

import httpx
import pytest

from supatoss.store import Store
from supatoss.tls import tls_context
from supatoss.toss.client import TossClient


@pytest.fixture
def _build_that_leaves_the_lowest_version_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the Python of Debian 12."""
    create = httpx.create_ssl_context

    def open_context(**options: Any) -> ssl.SSLContext:
        context = create(**options)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context

    monkeypatch.setattr(httpx, "create_ssl_context", open_context)


@pytest.mark.usefixtures("_build_that_leaves_the_lowest_version_open")
@pytest.mark.parametrize("service", ["Toss", "Data API"])
@pytest.mark.anyio
async def test_keys_are_sent_with_tls_1_2_or_newer_to_whom_a_certificate_names(service: str) -> None:
    toss, store = TossClient("https://toss.test", ["live_sk_made_up"]), Store.open("https://x.test", "sb_secret_x", 3.0)
    http = toss._http if service == "Toss" else store._http
    context = cast("Any", http._transport)._pool._ssl_context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    await toss.aclose()
    await store.close()


@pytest.mark.parametrize(
    ("url", "authorities"), [("http://127.0.0.1:54321", False), ("https://x.test", True), ("HTTPS://x.test", True)]
)
def test_only_what_is_called_over_tls_has_authorities(url: str, authorities: bool) -> None:
    context = tls_context(url)
    assert bool(context.cert_store_stats()["x509_ca"]) is authorities
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
