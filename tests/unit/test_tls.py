import ssl
from typing import Any, cast

import httpx
import pytest

from supatoss.app import open_toss
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.tls import tls_context
from supatoss.toss.client import TossClient

SETTINGS = Settings.load(
    supabase_url="https://x.test",
    supabase_secret_key="sb_secret_made_up_for_tests",
    toss_secret_key=("live_sk_made_up_for_tests",),
)


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
@pytest.mark.parametrize("is_command", [False, True], ids=["service", "command"])
@pytest.mark.anyio
async def test_keys_are_sent_with_tls_1_2_or_newer_to_whom_a_certificate_names(is_command: bool) -> None:
    toss = TossClient("https://toss.test", ["live_sk_made_up"]) if is_command else open_toss(SETTINGS)
    store = Store.open("https://x.test", "sb_secret_x", 3.0, is_brief=is_command)
    for http in (toss._http, store._http):
        transport = cast("Any", http._transport)
        context = transport._pool._ssl_context if is_command else transport._tls
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
