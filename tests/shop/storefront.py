"""The example shop as `make run` starts it: Supabase Lite, the Toss emulator, the service and the shop."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from scripts.local_stack import LOOPBACK, ROOT, Child, find_node, free_port, install, is_taken
from tests.processes import READY_SECONDS, running_service, running_supabase
from tests.support import SECRET_KEY

SUPABASE_KEY = "sb_secret_for_shop_tests_0001"
CLIENT_KEY = "test_ck_for_shop_tests"
CHECKED_SECONDS = 90.0
"""The TypeScript is checked before it is served: about four seconds on an idle machine."""


@dataclass
class Storefront:
    """The running shop, and what stands behind it."""

    url: str
    orders_url: str
    """The server that stores orders and confirms them: the shop's own, or Next.js's."""
    emulator_url: str
    supabase_url: str
    http: httpx.Client

    @property
    def bank_url(self) -> str:
        return f"{self.emulator_url}/window/accounts"

    def row(self, order_id: str) -> dict[str, Any]:
        (row,) = self.rows(f"payments?order_id=eq.{order_id}")
        return row

    def rows(self, path: str) -> list[dict[str, Any]]:
        response = self.http.get(f"{self.supabase_url}/rest/v1/{path}", headers={"apikey": SUPABASE_KEY})
        response.raise_for_status()
        return cast("list[dict[str, Any]]", response.json())

    def play(self, path: str, **body: Any) -> dict[str, Any]:
        """A step at the emulator's control API."""
        response = self.http.post(f"{self.emulator_url}/emulator/{path}", json=body)
        assert response.is_success, response.text
        return cast("dict[str, Any]", response.json())

    def see(self, path: str) -> dict[str, Any]:
        response = self.http.get(f"{self.emulator_url}/emulator/{path}")
        return cast("dict[str, Any]", response.json())


@contextmanager
def running_storefront(folder: Path, http: httpx.Client) -> Iterator[Storefront]:
    toss_port, service_port = free_port(), free_port()
    emulator_url = f"http://{LOOPBACK}:{toss_port}"
    with ExitStack() as stack:
        supabase = stack.enter_context(
            running_supabase(folder / "supabase", "sb_publishable_for_shop_tests", SUPABASE_KEY, with_postgres=False)
        )
        emulator = [
            *(sys.executable, "-m", "scripts.toss_emulator", "--port", str(toss_port), "--requests-per-minute", "0"),
            *("--secret-key", SECRET_KEY, "--webhook-url", f"http://{LOOPBACK}:{service_port}/webhooks/toss"),
        ]
        stack.enter_context(_running("the emulator", emulator, toss_port, {}, folder))
        shop_url = stack.enter_context(running_shop(folder, supabase.url, emulator_url))
        settings = _settings(supabase.url, emulator_url)
        stack.enter_context(running_service(settings, folder / "service.log", service_port))
        yield Storefront(shop_url, shop_url, emulator_url, supabase.url, http)


@contextmanager
def running_shop(folder: Path, supabase_url: str, emulator_url: str) -> Iterator[str]:
    """The shop alone: its address."""
    port = free_port()
    settings = {
        **_settings(supabase_url, emulator_url),
        "TOSS_CLIENT_KEY": CLIENT_KEY,
        "TOSS_SDK_URL": f"{emulator_url}/v2/standard",
        "TEST_BANK_URL": f"{emulator_url}/window/accounts",
    }
    command = [sys.executable, "-m", "uvicorn", "examples.shop.app:app", "--host", LOOPBACK, "--port", str(port)]
    with _running("the shop", command, port, settings, folder):
        yield f"http://{LOOPBACK}:{port}"


@contextmanager
def running_next_routes(folder: Path, storefront: Storefront) -> Iterator[Storefront]:
    """The storefront with the route handlers of examples/nextjs in place of the shop's own."""
    modules = install()
    source, port = folder / "nextjs", free_port()
    shutil.copytree(ROOT / "examples" / "nextjs", source)
    (source / "node_modules").symlink_to(modules, target_is_directory=True)
    settings = {"NODE_PATH": str(modules), **_settings(storefront.supabase_url, storefront.emulator_url)}
    command: list[str | Path] = [find_node().program, ROOT / "tests" / "shop" / "next_routes.cjs", source, str(port)]
    with _running("the routes of Next.js", command, port, settings, folder, CHECKED_SECONDS):
        yield replace(storefront, orders_url=f"http://{LOOPBACK}:{port}")


@contextmanager
def _running(
    name: str,
    command: Sequence[str | Path],
    port: int,
    settings: Mapping[str, str],
    folder: Path,
    seconds: float = READY_SECONDS,
) -> Iterator[None]:
    """A process with these settings and no others, once it listens."""
    log = folder / f"{name.rpartition(' ')[2]}.log"
    child = Child(name, command, cwd=ROOT, env={"PATH": os.environ["PATH"], **settings}, log=log)
    try:
        child.wait_until(lambda: is_taken(port), seconds)
        yield
    finally:
        child.stop()


def _settings(supabase_url: str, emulator_url: str) -> dict[str, str]:
    return {
        "SUPABASE_URL": supabase_url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_API_URL": emulator_url,
    }


def order_id_of(url: str) -> str:
    """The order that an address of the shop is about."""
    return urlsplit(url).path.split("/")[2]
