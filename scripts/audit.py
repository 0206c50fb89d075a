"""Known vulnerabilities of every locked package: `make audit`.

pip-audit passes over packages that its source doesn't know, and then says that all is well. So each source is first
asked about a package with an old, famous vulnerability: one that doesn't name it has no advisories, and that is said.

Exit status: 0 nothing is known, 1 something is, 3 not all could be asked about.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PYTHON_LOCKS = tuple(f"requirements{name}.txt" for name in ("", "-build", "-dev", "-fuzz", "-audit", "-release"))
NPM_FOLDERS = ("scripts/local", "benchmarks/peers", "tests/browser", "tests/push")
PYTHON_CONTROL = "jinja2==2.10\n"
"""CVE-2019-10906."""
NPM_CONTROL = {"lodash": "4.17.4"}
"""CVE-2018-16487."""
TIMEOUT_SECONDS = 300
FOUND, NOT_ASKED = 1, 3


@dataclass(frozen=True)
class Verdict:
    """What is known of the packages of one lock. problem: why nothing, or not all, is known."""

    lock: str
    packages: int = 0
    advisories: Sequence[str] = ()
    problem: str | None = None

    def __str__(self) -> str:
        known = f"{len(self.advisories)} advisories" if self.advisories else "nothing known"
        state = f"NOT AUDITED: {self.problem}" if self.problem else f"{self.packages} packages, {known}"
        return "\n  ".join((f"{self.lock}: {state}", *self.advisories))


def main() -> int:
    """Asks about everything and prints the verdicts."""
    verdicts = [*audit(PYTHON_LOCKS, _pip_audit, _python_control), *audit(NPM_FOLDERS, _npm_audit, _npm_control)]
    print(*verdicts, sep="\n")
    return exit_status(verdicts)


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """What is known counts more than what isn't."""
    if any(verdict.advisories for verdict in verdicts):
        return FOUND
    return NOT_ASKED if any(verdict.problem for verdict in verdicts) else 0


def audit(
    locks: Sequence[str], ask: Callable[[Path], Verdict], make_control: Callable[[Path], Path]
) -> Iterator[Verdict]:
    """A verdict on each lock, of a source that has shown that it knows a vulnerability."""
    with tempfile.TemporaryDirectory() as folder:
        control = ask(make_control(Path(folder)))
    problem = control.problem or (None if control.advisories else "the source doesn't know a vulnerability of 2019")
    for lock in locks:
        if problem:
            yield Verdict(lock, problem=problem)
        else:
            yield ask(ROOT / lock)


def _python_control(folder: Path) -> Path:
    lock = folder / "requirements.txt"
    lock.write_text(PYTHON_CONTROL)
    return lock


def _npm_control(folder: Path) -> Path:
    (folder / "package.json").write_text(json.dumps({"name": "control", "dependencies": NPM_CONTROL}))
    packages = {f"node_modules/{name}": {"version": version} for name, version in NPM_CONTROL.items()}
    lock = {"name": "control", "lockfileVersion": 3, "packages": {"": {"dependencies": NPM_CONTROL}, **packages}}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    return folder


def _pip_audit(lock: Path) -> Verdict:
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    return read_pip_audit(lock.name, *_run([sys.executable, "-m", "pip_audit", "--requirement", str(lock), *options]))


def read_pip_audit(lock: str, output: str, error: str) -> Verdict:
    """What pip-audit's JSON says; a package that was passed over is a problem."""
    try:
        found: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Verdict(lock, problem=_last_line(error))
    skipped = [item["name"] for item in found if "skip_reason" in item]
    advisories = [
        f"{item['name']} {item['version']}: {vulnerability['id']}, fixed in {', '.join(vulnerability['fix_versions'])}"
        for item in found
        for vulnerability in item.get("vulns", ())
    ]
    problem = f"the source doesn't know {len(skipped)} packages: {', '.join(skipped)}" if skipped else None
    return Verdict(lock, len(found), advisories, problem)


def _npm_audit(folder: Path) -> Verdict:
    name = str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder.name)
    npm = shutil.which("npm")
    if npm is None:
        return Verdict(name, problem="npm is not installed")
    return read_npm_audit(name, *_run([npm, "audit", "--package-lock-only", "--json"], folder))


def read_npm_audit(lock: str, output: str, error: str) -> Verdict:
    """What npm's JSON says; an error of the registry is a problem."""
    try:
        report = json.loads(output)
        packages = report["metadata"]["dependencies"]["total"]
        found = report["vulnerabilities"]
    except (ValueError, KeyError, TypeError):
        return Verdict(lock, problem=_last_line(error))
    return Verdict(lock, packages, [f"{name} {item['range']}: {item['severity']}" for name, item in found.items()])


def _run(command: Sequence[str], folder: Path = ROOT) -> tuple[str, str]:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return "", f"no answer within {TIMEOUT_SECONDS} s"
    return done.stdout, done.stderr


def _last_line(text: str) -> str:
    """The line that says what went wrong, without the address that a client may name."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "A complete log" not in line]
    return lines[-1].partition("http")[0][:200].strip() if lines else "no answer"


if __name__ == "__main__":
    sys.exit(main())
