"""The real thing, started once: Supabase Lite on PGlite with the migrations, and the service as its own process."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import jwt
import pytest

from scripts.local_stack import LOOPBACK, LocalSupabase, free_port
from tests.processes import running_service, running_supabase
from tests.support import ANY_AGE_HOURS, OLDER_SECURITY_KEY, SECRET_KEY, SECURITY_KEY, raw_body, signed_headers

PUBLISHABLE_KEY = "sb_publishable_for_tests_0001"
SUPABASE_KEY = "sb_secret_for_tests_0001"
JWT_SECRET = "a-secret-for-tests-that-is-long-enough-0123456789"


@dataclass(frozen=True)
class Stack:
    """A running service and its Supabase project."""

    service_url: str
    supabase_url: str
    http: httpx.Client

    def post(
        self, body: object, headers: dict[str, str] | None = None, path: str = "/webhooks/toss", **options: Any
    ) -> httpx.Response:
        """Delivers a body, signed in the guide's form unless headers are given."""
        raw = body if isinstance(body, bytes) else raw_body(body)
        signed = signed_headers(raw) if headers is None else headers
        return self.http.post(self.service_url + path, content=raw, headers=signed, **options)

    def data_api(
        self, method: str, path: str, key: str = SUPABASE_KEY, token: str | None = None, **options: Any
    ) -> httpx.Response:
        headers = {"apikey": key, **({"Authorization": f"Bearer {token}"} if token else {})}
        return self.http.request(method, f"{self.supabase_url}/rest/v1/{path}", headers=headers, **options)

    def rows(self, path: str) -> list[dict[str, Any]]:
        response = self.data_api("GET", path)
        response.raise_for_status()
        return cast("list[dict[str, Any]]", response.json())

    def row(self, path: str) -> dict[str, Any]:
        (found,) = self.rows(path)
        return found


@pytest.fixture(scope="session")
def supabase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSupabase]:
    folder = tmp_path_factory.mktemp("supabase")
    with running_supabase(folder, PUBLISHABLE_KEY, SUPABASE_KEY, with_postgres=False, jwt_secret=JWT_SECRET) as lite:
        yield lite


def service_token() -> str:
    """A key of the role that may do what the service does and nothing else."""
    return jwt.encode({"role": "supatoss_service", "iss": "tests"}, JWT_SECRET)


@pytest.fixture(scope="session")
def stack(supabase: LocalSupabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {
        "SUPABASE_URL": supabase.url,
        # The other folders run it with a secret key, which is service_role's.
        "SUPABASE_SECRET_KEY": service_token(),
        "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "TOSS_SECRET_KEY": f"test_sk_newest_of_two_keys,{SECRET_KEY}",
        "TOSS_SECURITY_KEY": f"{SECURITY_KEY},{OLDER_SECURITY_KEY}",
        "TOSS_UNSIGNED": "reject",
        "SIGNATURE_MAX_AGE_HOURS": str(ANY_AGE_HOURS),
        "ALERT_INTERVAL_SECONDS": "3600",  # tests look themselves
        "TOSS_API_URL": f"http://{LOOPBACK}:{free_port()}",  # nobody answers there
    }
    log = tmp_path_factory.mktemp("service") / "service.log"
    with running_service(settings, log) as url, httpx.Client(trust_env=False, timeout=20.0) as http:
        yield Stack(url, supabase.url, http)
