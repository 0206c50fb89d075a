from collections.abc import Iterator

import httpx
import pytest

from supatoss import transport


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Of the session, so that tests may share a store: making its client takes longer than any of them."""
    return "asyncio"


@pytest.fixture(scope="module")
def on_respx() -> Iterator[None]:
    """respx stands in for httpx's own transport; test_transport.py compares the service's with that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "AiohttpTransport", lambda *_: httpx.AsyncHTTPTransport())
        yield
