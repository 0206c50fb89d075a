"""The process groups of fly.toml beside a running stack: release command, every check, and a clean stop."""

import os
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local_stack import LOOPBACK, ROOT, Child, free_port
from tests.stories.conftest import SUPABASE_KEY, World
from tests.support import SECRET_KEY

FLY: dict[str, Any] = tomllib.loads((ROOT / "fly.toml").read_text(encoding="utf-8"))
CHECKS = [
    ({"processes": FLY["http_service"]["processes"], "port": FLY["http_service"]["internal_port"], **check})
    for check in FLY["http_service"]["checks"]
] + list(FLY["checks"].values())
STARTED = {"web": '"worker":"off"', "worker": '"event":"worker started"'}
"""In the log of a group that has started: the web group leaves the work to the other."""

PORTS = ("PORT", "METRICS_PORT")


def machine(world: World) -> dict[str, str]:
    """Environment of one machine: that of fly.toml with the secrets, on ports of this machine that are free."""
    return {
        **FLY["env"],
        "HOST": LOOPBACK,
        **{name: str(free_port()) for name in PORTS},
        "PATH": os.environ["PATH"],
        "SUPABASE_URL": world.supabase.url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_API_URL": world.emulator_url,
    }


def program(command: str) -> list[str]:
    name, *arguments = shlex.split(command)
    assert name == "supatoss"
    return [sys.executable, "-m", "supatoss", *arguments]


@contextmanager
def running(group: str, environment: Mapping[str, str], log: Path) -> Iterator[Child]:
    child = Child(group, program(FLY["processes"][group]), cwd=ROOT, env=environment, log=log)
    try:
        yield child
    finally:
        child.stop()


def passes(check: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether a check of fly.toml passes on a machine with this environment."""
    (name,) = (name for name in PORTS if FLY["env"][name] == str(check["port"]))
    url = f"http://{LOOPBACK}:{environment[name]}{check['path']}"
    try:
        answer = httpx.request(check["method"], url, trust_env=False, timeout=float(check["timeout"].removesuffix("s")))
    except httpx.TransportError:
        return False
    return answer.is_success


@pytest.mark.parametrize("group", sorted(FLY["processes"]))
def test_a_group_starts_passes_its_checks_and_stops(world: World, tmp_path: Path, group: str) -> None:
    environment = machine(world)
    own = [check for check in CHECKS if group in check["processes"]]
    assert own
    log = tmp_path / "process.log"
    with running(group, environment, log) as child:
        for check in own:
            world.until(lambda check=check: passes(check, environment))  # type: ignore[misc]
        world.until(lambda: STARTED[group] in log.read_text())
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(15) == 0
    assert ("worker stopped" in log.read_text()) == (group == "worker")


@pytest.mark.parametrize(("changes", "status"), [({}, 0), ({"SUPABASE_SECRET_KEY": "sb_secret_of_another"}, 1)])
def test_the_release_command_decides(world: World, changes: dict[str, str], status: int) -> None:
    done = subprocess.run(  # noqa: S603 - the command of fly.toml
        program(FLY["deploy"]["release_command"]),
        env={**machine(world), "RELEASE_COMMAND": "1", **changes}, cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
