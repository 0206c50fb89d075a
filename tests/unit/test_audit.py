"""`make audit` never takes silence for good news. And the bill of materials has what is shipped."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.audit import PYTHON_LOCKS, ROOT, Verdict, audit, exit_status, read_npm_audit, read_pip_audit
from scripts.sbom import vendored

VULNERABLE = {"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}]}
CLEAN = {"name": "httpx", "version": "0.28.1", "vulns": []}
SKIPPED = {"name": "httpx", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def pip_audit(*dependencies: dict[str, Any]) -> Verdict:
    return read_pip_audit("requirements.txt", json.dumps({"dependencies": dependencies, "fixes": []}), "")


def test_packages_without_advisories_are_counted() -> None:
    assert str(pip_audit(CLEAN, CLEAN)) == "requirements.txt: 2 packages, nothing known"


def test_an_advisory_is_named() -> None:
    verdict = pip_audit(CLEAN, VULNERABLE)
    assert verdict.advisories == ["jinja2 2.10: PYSEC-2019-217, fixed in 2.10.1"]
    assert exit_status([verdict, pip_audit(SKIPPED)]) == 1


def test_a_package_that_was_passed_over_is_no_good_news() -> None:
    """pip-audit itself says that no vulnerabilities are known, and exits with 0."""
    verdict = pip_audit(SKIPPED, CLEAN)
    assert str(verdict) == "requirements.txt: NOT AUDITED: the source doesn't know 1 packages: httpx"
    assert exit_status([pip_audit(CLEAN), verdict]) == 3


@pytest.mark.parametrize("read", [read_pip_audit, read_npm_audit])
@pytest.mark.parametrize("output", ["", "null", "{}", "[]", "<html>", '{"error": {"code": "ENOAUDIT"}}'])
def test_an_answer_that_is_none_is_a_problem_without_an_address(read: Any, output: str) -> None:
    verdict = read("lock", output, "Traceback\n\nConnectionError: no name for https://registry.example/x\n\n")
    assert verdict == Verdict("lock", problem="ConnectionError: no name for")
    assert read("lock", output, "").problem == "no answer"


def test_npm_says_what_it_knows() -> None:
    report = {"vulnerabilities": {"lodash": {"range": "<4.17.11", "severity": "high"}}}
    output = json.dumps({**report, "metadata": {"dependencies": {"total": 12}}})
    verdict = read_npm_audit("scripts/local", output, "")
    assert str(verdict) == "scripts/local: 12 packages, 1 advisories\n  lodash <4.17.11: high"


@pytest.mark.parametrize(
    ("control", "problem"),
    [
        (pip_audit(CLEAN), "the source doesn't know a vulnerability of 2019"),
        (pip_audit(SKIPPED), "the source doesn't know 1 packages: httpx"),
        (pip_audit(VULNERABLE), None),
    ],
)
def test_a_source_has_to_know_an_old_vulnerability_first(control: Verdict, problem: str | None) -> None:
    asked: list[Path] = []

    def ask(lock: Path) -> Verdict:
        asked.append(lock)
        return control if len(asked) == 1 else pip_audit(CLEAN)

    found = list(audit(["one.txt", "other.txt"], ask, lambda folder: folder / "control"))
    assert [verdict.problem for verdict in found] == [problem] * 2
    assert asked[1:] == ([] if problem else [ROOT / "one.txt", ROOT / "other.txt"])
    assert exit_status(found) == (3 if problem else 0)


def test_every_lock_is_audited() -> None:
    assert set(PYTHON_LOCKS) == {file.name for file in ROOT.glob("requirements*.txt")}


def test_the_libraries_of_the_page_are_in_the_bill() -> None:
    found = {part["purl"]: [file["name"] for file in part["components"]] for part in vendored()}
    names = {purl.partition("@")[0]: files for purl, files in found.items()}
    assert names == {
        "pkg:npm/htmx.org": ["htmx.min.js"],
        "pkg:npm/uplot": ["uPlot.iife.min.js", "uPlot.min.css"],
    }


def test_both_stages_of_the_image_start_from_the_one_that_can_be_pinned() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in lines if line.startswith("FROM")] == ["${PYTHON_IMAGE}"] * 2
    (default,) = (line for line in lines if line.startswith("ARG"))
    assert default.startswith("ARG PYTHON_IMAGE=python:3.")
