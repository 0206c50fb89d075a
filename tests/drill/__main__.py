"""The runbook, played for real: `python -m tests.drill [--only PATTERN] [--quick]`.

Exit status: 0 every scenario ended as it should and every command was typed; 1 not; 130 stopped by Ctrl-C.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from tests.drill.catalogue import SCENARIOS
from tests.drill.runbook import RUNBOOK, read_sections
from tests.drill.scenario import Result, perform
from tests.drill.stage import opened_stage

PIPE_COLUMNS = 160
LIMIT_SECONDS = 20 * 60.0
"""Half of it is enough where nothing else runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays the scenarios one after the other, and prints what arrived at the target of alerts."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", metavar="PATTERN", help="scenarios whose section and name match")
    parser.add_argument("--quick", action="store_true", help="only those of `make test`")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    chosen = [item for item in SCENARIOS if re.search(options.only, str(item)) and (item.is_quick or not options.quick)]
    started = time.monotonic()
    results: list[Result] = []
    try:
        with tempfile.TemporaryDirectory(prefix="supatoss-drill-") as folder, opened_stage(Path(folder)) as stage:
            for scenario in chosen:
                if time.monotonic() - started > LIMIT_SECONDS:
                    break
                results.append(perform(stage, scenario))
                _tell(console, results[-1])
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    is_whole = len(chosen) == len(SCENARIOS)
    skipped = len(chosen) - len(results)
    missing = untried(results) if is_whole and not skipped else []
    for line in missing:
        console.print(f"✗ nobody typed {line}", markup=False)
    failed = [result for result in results if result.problem]
    console.print(
        f"{len(results)} scenarios in {time.monotonic() - started:.0f} s: {len(failed)} failed, {skipped} not played"
    )
    return 1 if failed or skipped or missing else 0


def untried(results: Iterable[Result]) -> list[str]:
    """Commands of the runbook that no scenario typed."""
    tried: dict[str, set[str]] = {}
    for result in results:
        tried.setdefault(result.scenario.section, set()).update(result.tried)
    sections = read_sections(RUNBOOK.read_text(encoding="utf-8"))
    return [
        f"{name}: {command}"
        for name, typed in tried.items()
        for command in sections[name].commands
        if command not in typed
    ]


def _tell(console: Console, result: Result) -> None:
    console.print(f"{'✗' if result.problem else '✓'} {result.scenario}: {result.seconds:.1f} s", markup=False)
    for message in result.messages:
        console.print(f"    {message}", markup=False)
    if result.problem:
        console.print(result.problem, markup=False)


if __name__ == "__main__":
    sys.exit(main())
