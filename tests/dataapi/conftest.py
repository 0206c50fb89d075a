import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Of the session, so that tests may share a store: making its client takes longer than any of them."""
    return "asyncio"
