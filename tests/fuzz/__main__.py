"""`make fuzz`: each target gets its share of the minutes; the first failure of one is kept in corpus/ and ends it."""

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.found import keep, replayed
from tests.fuzz.targets import TARGETS, Run, Target

GRACE_SECONDS = 300.0
"""For a program to start, to end, and to shrink what it found."""

ROUND_EXAMPLES = 500
"""Of one run of Hypothesis; each has another seed."""


PROGRAMS = {
    "guided": ("atheris", "tests.fuzz.guided", "meaning"),
    "endpoints": ("schemathesis", "tests.fuzz.endpoints"),
}
"""Processes of their own, with the package of requirements-fuzz.txt that each needs; the minutes come last."""


class Tried:
    """Runs cases, and remembers how many and the last that failed: after Hypothesis has shrunk it, the smallest."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.count = 0
        self.failed: tuple[bytes, BaseException] | None = None

    def __call__(self, case: bytes) -> None:
        self.count += 1
        try:
            self._run(case)
        except Exception as error:
            self.failed = case, error
            raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="in all (default 5)")
    names = [*TARGETS, *PROGRAMS]
    parser.add_argument("--target", action="append", choices=names, help="repeatable; all by default")
    chosen = parser.parse_args(arguments)
    names = chosen.target or names
    seconds = chosen.minutes * 60 / len(names)
    found = [name for name in names if not (fuzz(TARGETS[name], seconds) if name in TARGETS else start(name, seconds))]
    return int(bool(found))


def fuzz(target: Target, seconds: float) -> bool:
    """Whether nothing was found in that time. What is found is written to the corpus."""
    started = time.monotonic()
    number = time.time_ns() % 2**32
    with target.opened() as run:
        for kept in replayed(target.name):
            run(kept.read_bytes())
        tried = Tried(run)
        while not tried.failed and time.monotonic() - started < seconds:
            number += 1
            once = seed(number)(
                settings(
                    max_examples=ROUND_EXAMPLES,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate, Phase.shrink],
                    suppress_health_check=list(HealthCheck),
                )(given(target.cases)(_until(tried, started + seconds)))
            )
            try:
                once()
            except Exception:  # noqa: BLE001 - whatever it is, the case is kept and shown
                assert tried.failed is not None
    print(f"{target.name}: {tried.count} cases in {time.monotonic() - started:.0f} s", flush=True)
    if tried.failed:
        keep(target.name, *tried.failed)
    return not tried.failed


def start(name: str, seconds: float) -> bool:
    """Whether a program found nothing. Without its package it isn't started, which is said and is no success."""
    package, module, *arguments = PROGRAMS[name]
    if importlib.util.find_spec(package) is None:
        print(
            f"{name}: not tried, {package} is not installed: make fuzz installs requirements-fuzz.txt", file=sys.stderr
        )
        return False
    command = [sys.executable, "-m", module, *arguments, f"{seconds / 60:.2f}"]
    done = subprocess.run(command, check=False, timeout=seconds + GRACE_SECONDS)
    print(f"{name}: exit status {done.returncode}", flush=True)
    return done.returncode == 0


def _until(tried: Tried, deadline: float) -> Run:
    def case_of(case: bytes) -> None:
        # Past the deadline, the rest of the round passes untried; a failure is still shrunk.
        if tried.failed or time.monotonic() < deadline:
            tried(case)

    return case_of


if __name__ == "__main__":
    sys.exit(main())
