"""Commands that ask the Data API start with what they need: what is not imported takes no time."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.commands.data_api import serving
from tests.commands.lines import LIGHT, line

HEAVY = {
    *("supabase", "supabase_auth", "realtime", "storage3", "h2"),
    *("pydantic_settings", "starlette", "uvicorn", "jinja2", "prometheus_client", "structlog"),
    *("rich", "pygments", "click", "dotenv", "psycopg", "importlib.metadata"),
    *("supatoss.app", "supatoss.settings", "supatoss.telemetry", "supatoss.ops", "supatoss.store.calls"),
}
"""0.5 s of imports together."""

TOSS_OBJECTS = "supatoss.toss.models"
"""50 ms, for what interprets events."""

ELSEWHERE = {"httpx", "postgrest", "asyncio"}
"""Commands that ask nobody need neither."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(200) as address:
        yield address


def imported(command: list[str], url: str) -> set[str]:
    code = (
        "import sys; from supatoss.cli import main; status = main(sys.argv[1:]);"
        "print(*sorted(sys.modules), file=sys.stderr); sys.exit(status)"
    )
    environment = {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": "sb_secret_made_up_for_tests"}
    result = subprocess.run(  # noqa: S603 - its own code
        [sys.executable, "-c", code, *command],
        env={"PATH": os.defpath, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode in (0, 1), result.stderr
    return set(result.stderr.split())


@pytest.mark.parametrize("command", LIGHT)
def test_a_command_that_asks_the_data_api(command: str, url: str) -> None:
    modules = imported(line(command), url)
    assert "postgrest" in modules
    assert modules & HEAVY == set()
    assert (TOSS_OBJECTS in modules) == (command == "events replay")


def test_a_command_that_asks_nobody(url: str) -> None:
    assert imported(["--version"], url) & (HEAVY | ELSEWHERE) == set()
