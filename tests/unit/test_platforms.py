"""fly.toml and commands of Supabase's CLI against the platforms' documents and against the service's numbers.

Sources: fly.io/docs/reference/configuration, fly.io/docs/reference/health-checks, `supabase db push --help` of 3.1.0.
"""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supatoss.app import LOOP_GRACE_SECONDS
from supatoss.health import READY_SECONDS
from supatoss.server import CLOSE_SECONDS, GRACE_SECONDS, MAX_REQUESTS
from supatoss.settings import Settings
from supatoss.tracing.sdk import STOP_SECONDS

ROOT = Path(__file__).parents[2]
FLY: dict[str, Any] = tomllib.loads((ROOT / "fly.toml").read_text(encoding="utf-8"))
HTTP: dict[str, Any] = FLY["http_service"]

RESERVE_SECONDS = 5.0
"""To close connections and write the last lines of the log on a machine that has little CPU."""


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_requests_are_routed_by_the_process_alone() -> None:
    assert [check["path"] for check in HTTP["checks"]] == ["/healthz"]
    assert "services" not in FLY


def test_readiness_is_watched_and_never_routes() -> None:
    check = FLY["checks"]["ready"]
    assert (check["type"], check["path"], check["port"]) == ("http", "/readyz", HTTP["internal_port"])
    assert seconds(check["timeout"]) > READY_SECONDS


def test_an_orderly_stop_ends_before_the_machine_does() -> None:
    answers = GRACE_SECONDS + CLOSE_SECONDS  # requests in flight: to their end, then to a 503
    connections = CLOSE_SECONDS  # uvicorn's timeout_graceful_shutdown
    loops = LOOP_GRACE_SECONDS  # worker, schedule and alerts, side by side
    traces = STOP_SECONDS
    assert answers + connections + loops + traces + RESERVE_SECONDS <= seconds(FLY["kill_timeout"]) <= 300
    assert FLY["kill_signal"] == "SIGTERM"
    assert Settings.model_fields["answer_deadline_seconds"].default < GRACE_SECONDS


def test_the_proxy_lets_through_almost_as_much_as_the_service_takes() -> None:
    concurrency = HTTP["concurrency"]
    assert concurrency == {"type": "requests", "soft_limit": 500, "hard_limit": 2000}
    assert concurrency["hard_limit"] < MAX_REQUESTS


def test_no_machine_sleeps_and_each_has_room_for_a_command_beside_the_service() -> None:
    assert HTTP["auto_stop_machines"] == "off"
    assert {(machine["size"], machine["memory"]) for machine in FLY["vm"]} == {("shared-cpu-1x", "512mb")}


def test_deployments_replace_one_machine_at_a_time() -> None:
    assert (FLY["deploy"]["strategy"], FLY["deploy"]["max_unavailable"]) == ("rolling", 1)


@pytest.mark.parametrize(("name", "value"), FLY["env"].items())
def test_the_environment_is_made_of_settings(name: str, value: str) -> None:
    settings = Settings.model_validate(
        {
            "supabase_url": "https://x.supabase.co",
            "SUPABASE_SECRET_KEY": "sb_secret_for_platforms",
            "toss_secret_key": "test_sk_for_the_platforms",
            name.lower(): value,
        }
    )
    assert str(getattr(settings, name.lower())) == value


def test_the_ports_agree() -> None:
    assert FLY["env"]["PORT"] == str(HTTP["internal_port"])
    assert [FLY["env"]["METRICS_PORT"]] == [str(metrics["port"]) for metrics in FLY["metrics"]]


def texts() -> Iterator[Path]:
    """Every file of ours in which somebody could read a command."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        for name in names:
            if name.endswith((".md", ".py", ".sh", ".toml", ".sql", ".yml", "Makefile", ".env.example")):
                yield Path(folder, name)


def test_migrations_are_pushed_to_the_hosted_project() -> None:
    """Since version 3 the CLI pushes to the local stack unless --remote is given."""
    pushes = [
        (str(file.relative_to(ROOT)), command)
        for file in texts()
        if file != Path(__file__)
        for command in re.findall(r"\bdb push\b[^\n`\"';]*", file.read_text(encoding="utf-8"))
    ]
    assert pushes
    assert [push for push in pushes if not re.match(r"db push( --[\w-]+)* --remote\b", push[1])] == []
