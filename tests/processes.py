"""Starting the service as a process of its own, and waiting until it can store."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from scripts.local_stack import LOOPBACK, ROOT, Child, free_port

READY_SECONDS = 30.0


@contextmanager
def running_service(
    settings: Mapping[str, str], log: Path, port: int | None = None, ready: str = "/readyz"
) -> Iterator[str]:
    """The service with these settings and no others, until the end of the block: its address."""
    port = port or free_port()
    service = Child(
        "the service",
        [sys.executable, "-m", "supatoss", "serve"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOST": LOOPBACK, "PORT": str(port), **settings},
        log=log,
    )
    url = f"http://{LOOPBACK}:{port}"
    try:
        service.wait_until(lambda: _is_ready(url + ready), READY_SECONDS)
        yield url
    finally:
        service.stop()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
