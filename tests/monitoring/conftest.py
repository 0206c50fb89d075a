"""promtool, and the series of a real process: rules and stories may use no others."""

import contextlib
import os
import sys
import time
from pathlib import Path

import httpx
import pytest

from scripts.local_stack import LOOPBACK, ROOT, Child, StackError, free_port
from scripts.promtool import find_promtool
from tests.monitoring.promtool import Promtool
from tests.monitoring.series import Exported
from tests.processes import READY_SECONDS, running_service, running_supabase
from tests.support import ANY_AGE_HOURS, GUIDE_PAYMENT, SECRET_KEY, raw_body, signed_headers

SUPABASE_KEY = "sb_secret_for_monitoring_0001"
TOKEN = "a-token-of-twenty-chars"


@pytest.fixture(scope="session")
def program() -> Path:
    try:
        return find_promtool()
    except StackError as error:
        pytest.skip(str(error))  # .ci/run fetches it


@pytest.fixture
def promtool(program: Path, tmp_path: Path) -> Promtool:
    return Promtool(program, tmp_path)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Of a service that has received a delivery of each kind, and of a worker, both of which have looked once."""
    folder = tmp_path_factory.mktemp("monitoring")
    port = free_port()
    with running_supabase(folder, "sb_publishable_m_0001", SUPABASE_KEY, with_postgres=True) as supabase:
        settings = {
            "SUPABASE_URL": supabase.url,
            "SUPABASE_SECRET_KEY": SUPABASE_KEY,
            "TOSS_SECRET_KEY": SECRET_KEY,
            "TOSS_API_URL": f"http://{LOOPBACK}:{free_port()}",  # nobody answers there
            "METRICS_TOKEN": TOKEN,
            "SIGNATURE_MAX_AGE_HOURS": str(ANY_AGE_HOURS),
        }
        worker = Child(
            "the worker",
            [sys.executable, "-m", "supatoss", "worker"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **settings, "HOST": LOOPBACK, "METRICS_PORT": str(port)},
            log=folder / "worker.log",
        )
        try:
            with running_service(settings, folder / "service.log") as url:
                _deliver(url)
                return Exported.read(_metrics(f"{url}/metrics"), _metrics(f"http://{LOOPBACK}:{port}/metrics"))
        finally:
            worker.stop()


def _deliver(url: str) -> None:
    body = raw_body(GUIDE_PAYMENT)
    for headers in (signed_headers(body), signed_headers(body), signed_headers(body, "test_sk_another_key"), {}):
        httpx.post(f"{url}/webhooks/toss", content=body, headers=headers, trust_env=False, timeout=20.0)


def _metrics(url: str) -> str:
    """Once the process has looked at the alerts: it starts beside others, and answers before it has looked."""
    deadline = time.monotonic() + READY_SECONDS
    text = "no answer"
    while "supatoss_alerts_open{" not in text:
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(url, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=20.0)
            text = answer.raise_for_status().text
    return text
