"""The processes around a browser: a Supabase project, the service, and what was delivered to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import ViewportSize

from scripts.local_stack import LOOPBACK, LocalSupabase
from tests.browser.scene import Shop, play_day
from tests.browser.toss import running_toss
from tests.processes import running_service, running_supabase
from tests.support import SECRET_KEY, SECURITY_KEY

SUPABASE_KEY = "sb_secret_for_browser_tests_0001"
PASSWORD = "correct horse battery"
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=360, height=740)


@contextmanager
def running_project(folder: Path) -> Iterator[LocalSupabase]:
    """A migrated project, in front of a real server."""
    with running_supabase(folder, "sb_publishable_for_browser_tests", SUPABASE_KEY, with_postgres=True) as lite:
        yield lite


def settings_of(supabase: LocalSupabase, toss_url: str) -> dict[str, str]:
    """Settings of a service that nobody but the browser talks to."""
    return {
        "SUPABASE_URL": supabase.url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_SECURITY_KEY": SECURITY_KEY,
        "TOSS_UNSIGNED": "reject",
        "TOSS_API_URL": toss_url,
        "WORKER": "off",  # so that what waits keeps waiting
        "OPS_PASSWORD": PASSWORD,
        "PUBLIC_URL": f"http://{LOOPBACK}",  # a browser gets its cookies over plain http
    }


@contextmanager
def running_shop(supabase: LocalSupabase, http: httpx.Client, log: Path) -> Iterator[Shop]:
    """The service of a shop, with a day behind it."""
    with running_toss() as toss_url, running_service(settings_of(supabase, toss_url), log) as url:
        shop = Shop(url, supabase.url, SUPABASE_KEY, http)
        play_day(shop)
        yield shop
