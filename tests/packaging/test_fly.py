"""fly.toml against what Fly documents, and what its process groups start."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.main import get_command

from supatoss.cli import app
from supatoss.settings import Settings
from supatoss.toss.addresses import PUBLISHED
from tests.packaging.fly import FlyConfig

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "fly.toml").read_text(encoding="utf-8")
EXAMPLE = re.compile(r'^  # (TOSS_ALLOWED_IPS = """\n)  # (.*\n)  # (.*"""\n)', re.MULTILINE)
SETTINGS = {
    "supabase_url": "https://x.supabase.co",
    "SUPABASE_SECRET_KEY": "sb_secret_for_platforms",
    "toss_secret_key": "test_sk_for_the_platforms",
}


def parsed(text: str = TEXT) -> FlyConfig:
    return FlyConfig.model_validate(tomllib.loads(text))


def test_the_file_is_as_documented() -> None:
    assert parsed().processes.keys() == {"web", "worker"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("release_command =", "release_comand ="),
        ("[[http_service.checks]]", "[[http_service.check]]"),
        ('strategy = "rolling"', 'strategy = "roling"'),
        ("internal_port = 8080", 'internal_port = "8080"'),
        ('memory = "512mb"', 'memory = "512 mb"'),
        ('PORT = "8080"', "PORT = 8080"),
        ('processes = ["worker"]', 'processes = ["workers"]'),
        ('type = "http"\n', ""),
        ('HOST = "0.0.0.0"', 'FLY_HOST = "0.0.0.0"'),
        ('timeout = "5s"', 'timeout = "5 s"'),
    ],
)
def test_a_slip_is_noticed(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(ValidationError):
        parsed(TEXT.replace(old, new))


def test_every_group_has_its_command_machine_check_and_metrics() -> None:
    config = parsed()
    commands: dict[str, Any] = getattr(get_command(app), "commands", {})
    for group, command in config.processes.items():
        program, name = shlex.split(command)
        assert (program, name in commands) == ("supatoss", True)
        (machine,) = (machine for machine in config.vm if group in machine.processes)
        assert (machine.size, machine.memory) == ("shared-cpu-1x", "512mb")
        assert any(group in check.processes for check in config.checks.values())
        assert isinstance(config.metrics, list)
        assert any(group in metrics.processes for metrics in config.metrics)


def test_only_the_web_group_gets_requests_and_it_leaves_the_work_to_the_worker() -> None:
    config = parsed()
    assert config.http_service is not None
    assert config.http_service.processes == ["web"]
    assert config.env["WORKER"] == "off"
    port = int(config.env["METRICS_PORT"])
    assert [check.port for check in config.checks.values() if check.processes == ["worker"]] == [port]


def test_both_can_run_in_one_process_as_the_file_says() -> None:
    content = tomllib.loads(TEXT)
    del content["processes"]["worker"], content["checks"]["worker"], content["env"]["WORKER"]
    content["vm"] = [machine for machine in content["vm"] if machine["processes"] != ["worker"]]
    content["metrics"][0]["processes"].remove("worker")
    assert FlyConfig.model_validate(content).processes.keys() == {"web"}
    assert Settings.model_fields["worker"].default == "in-process"


def test_a_release_is_checked_before_it_replaces_a_machine() -> None:
    deploy = parsed().deploy
    assert deploy is not None
    program, name, *options = shlex.split(deploy.release_command or "")
    assert (program, name, options) == ("supatoss", "doctor", ["--release"])
    doctor = getattr(get_command(app), "commands", {})["doctor"]
    assert "--release" in [option for parameter in doctor.params for option in parameter.opts]


def test_the_allow_list_of_the_example_is_valid_and_names_the_header_that_it_needs() -> None:
    config = parsed(EXAMPLE.sub(r"\1\2\3", TEXT))
    addresses = config.env["TOSS_ALLOWED_IPS"]
    settings = Settings.model_validate({**SETTINGS, "toss_allowed_ips": addresses})
    assert settings.toss_allowed_ips == PUBLISHED
    assert config.env["CLIENT_IP_HEADER"] == "Fly-Client-IP"
    assert "TOSS_ALLOWED_IPS" not in parsed().env
