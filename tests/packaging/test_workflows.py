"""GitHub workflows, templates and the development container. `make lint` runs zizmor."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.packaging.conftest import ROOT

FOLDER = ROOT / ".github/workflows"
TEXTS = {file.stem: file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.yml"))}
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
ON = True
"""The key `on`, as YAML 1.1 reads it."""

TARGETS = set(
    re.findall(r"^([a-z][a-z-]*|\$\(VENV\)/\.built):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
SYNTAX = {
    "workflow": "name run-name on permissions env defaults concurrency jobs",
    "job": (
        "name permissions needs if runs-on environment concurrency outputs env defaults steps timeout-minutes strategy"
        " continue-on-error container services uses with secrets"
    ),
    "step": "id if name uses run working-directory shell with env continue-on-error timeout-minutes",
}
"""The keys that GitHub's workflow syntax has at each level: zizmor passes over others."""

READ = {"contents": "read"}
SIGN = {"id-token": "write", "attestations": "write"}
RIGHTS = {
    "release build": READ | SIGN,
    "release image": READ | SIGN | {"packages": "write"},
    "release pypi": {"id-token": "write"},
    "release github": {"contents": "write"},
    "pages deploy": {"pages": "write", "id-token": "write"},
}
"""Of jobs that need more than to read the repository."""


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, workflow in WORKFLOWS.items():
        for job_name, job in workflow["jobs"].items():
            yield f"{name} {job_name}", job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs():
        for step in job["steps"]:
            yield name, step


def scripts() -> Iterator[tuple[str, str]]:
    return ((name, step["run"]) for name, step in steps() if "run" in step)


def test_no_key_is_misspelt() -> None:
    def unknown(level: str, content: dict[Any, Any]) -> set[str]:
        return {"on" if key is ON else key for key in content} - set(SYNTAX[level].split())

    assert [name for name, workflow in WORKFLOWS.items() if unknown("workflow", workflow)] == []
    assert [name for name, job in jobs() if unknown("job", job)] == []
    assert [name for name, step in steps() if unknown("step", step) or ("run" in step) == ("uses" in step)] == []


def test_every_action_is_pinned_by_its_commit_and_names_its_version() -> None:
    uses = [line.strip().lstrip("- ") for text in TEXTS.values() for line in text.splitlines() if "uses:" in line]
    assert len(uses) > 10
    assert [line for line in uses if not re.fullmatch(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    by_action: dict[str, set[str]] = {}
    for line in uses:
        by_action.setdefault(line.partition("@")[0], set()).add(line)
    assert {action: lines for action, lines in by_action.items() if len(lines) > 1} == {}


def test_a_job_has_the_rights_that_it_needs_and_no_others() -> None:
    assert [name for name, workflow in WORKFLOWS.items() if workflow.get("permissions") != {}] == []
    assert {name: job["permissions"] for name, job in jobs()} == {name: RIGHTS.get(name, READ) for name, _ in jobs()}
    checkouts = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert {step["with"]["persist-credentials"] for step in checkouts} == {False}


def test_a_job_ends_by_itself_and_its_machine_is_named() -> None:
    assert {name for name, job in jobs() if not 0 < job.get("timeout-minutes", 0) <= 120} == set()
    assert {job["runs-on"] for _, job in jobs()} == {"ubuntu-24.04"}


def test_every_make_target_and_module_exists() -> None:
    called = [
        target for _, script in scripts() for target in re.findall(r"^\s*make ([\w./-]+)", script, re.MULTILINE)
    ] + WORKFLOWS["weekly"]["jobs"]["run"]["strategy"]["matrix"]["target"]
    assert {"test", "dist", "sbom", "audit"} <= set(called)
    assert {target for target in called if target.replace(".venv", "$(VENV)") not in TARGETS} == set()
    modules = {module for _, script in scripts() for module in re.findall(r"python -m ([\w.]+)", script)}
    assert {module for module in modules if not (ROOT / f"{module.replace('.', '/')}.py").exists()} == set()


def test_scripts_are_bash_and_take_nothing_from_outside_into_their_text() -> None:
    for name, script in scripts():
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)  # noqa: S607
        assert (name, checked.stderr) == (name, "")
        assert "${{" not in script, name


def test_ci_runs_on_every_python_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert WORKFLOWS["ci"]["jobs"]["test"]["strategy"]["matrix"]["python"] == named
    assert ("ci test", "make test") in list(scripts())
    assert ("release test", "make test") in list(scripts())


def test_a_release_is_for_a_signed_tag_and_takes_no_cache() -> None:
    release = WORKFLOWS["release"]
    assert release[ON] == {"push": {"tags": ["v*"]}}
    needs = {name: job.get("needs") for name, job in release["jobs"].items()}
    assert needs == {
        "verify": None,
        "test": "verify",
        "build": "test",
        "image": "test",
        "pypi": ["build", "image"],
        "github": "pypi",
    }
    assert ".verification.verified" in TEXTS["release"]
    assert "cache:" not in TEXTS["release"]
    assert "actions/cache" not in TEXTS["release"]


FORMS = [file for file in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) if file.stem != "config"]
INPUTS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_an_issue_form_asks_for_the_doctor_and_warns_of_secrets(form: Any) -> None:
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert content.keys() <= {"name", "description", "title", "labels", "body"}
    assert {item["type"] for item in content["body"]} <= INPUTS
    fields = [item for item in content["body"] if item["type"] != "markdown"]
    assert len({item["id"] for item in fields}) == len(fields)
    assert all(item["attributes"]["label"] for item in fields)
    first = content["body"][0]["attributes"]["value"]
    assert "Never paste secrets" in first
    assert any("supatoss doctor" in item["attributes"]["label"] for item in fields)


def test_dependabot_looks_at_every_npm_lock() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))["updates"]
    (npm,) = (update for update in updates if update["package-ecosystem"] == "npm")
    tracked = subprocess.run(
        ["git", "ls-files", "*package-lock.json"],  # noqa: S607 - git of the machine
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    ours = {f"/{name.rpartition('/')[0]}" for name in tracked if not name.startswith("examples/")}
    assert set(npm["directories"]) == ours


def test_the_development_container_runs_what_make_needs() -> None:
    text = (ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8")
    content = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    assert (ROOT / ".devcontainer" / content["build"]["dockerfile"]).exists()
    assert content["postCreateCommand"] == "make .venv/.built"
    image = (ROOT / ".devcontainer/Dockerfile").read_text(encoding="utf-8")
    assert f"useradd --uid 1000 --create-home --shell /bin/bash {content['remoteUser']}\n" in image
    assert content["forwardPorts"] == [int(port) for port in content["portsAttributes"]]
    dev = (ROOT / "scripts/dev.py").read_text(encoding="utf-8")
    assert [port for port in content["forwardPorts"] if str(port) not in dev] == []
