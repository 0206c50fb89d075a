"""Every fault with thousands of deliveries: `python -m tests.faults [--events N] [--only TEXT] [--write FILE]`.

Exit status: 0 nothing lost, doubled or wrong; 1 something was; 130 stopped by Ctrl-C.
"""

import argparse
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.catalogue import FAULTS
from tests.faults.sender import COPIES
from tests.faults.trial import Result, attempt
from tests.faults.world import running_world

EVENTS = 1000
"""Of each fault; with their copies 3,000 deliveries."""

TIMEOUT_SECONDS = 240.0
PIPE_COLUMNS = 160
COLUMNS = (
    "fault",
    "deliveries",
    "sent with retries",
    "acknowledged",
    "lost",
    "doubled",
    "wrong rows",
    "slowest answer, s",
)
_TABLE = re.compile(r"(?<=<!-- table: make faults -->\n).*?(?=<!-- end of table -->)", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the faults one after the other, and prints a line for each as it ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS, help=f"of each fault (default {EVENTS})")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name holds this text")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this document, if all is well")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    started = time.monotonic()
    results = []
    try:
        with tempfile.TemporaryDirectory(prefix="supatoss-faults-") as folder, running_world(Path(folder)) as world:
            for fault in FAULTS:
                if options.only in fault.name:
                    results.append(attempt(world, fault, options.events, TIMEOUT_SECONDS))
                    _tell(console, results[-1])
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    seconds = time.monotonic() - started
    table = Table(*COLUMNS)
    for result in results:
        table.add_row(*_cells(result))
    console.print(table)
    is_clean = all(result.is_clean for result in results)
    console.print(f"{len(results)} faults in {seconds:.0f} s: {'nothing lost' if is_clean else 'NOT AS PROMISED'}")
    if options.write and is_clean and not options.only:
        _write(options.write, results, options.events, seconds)
    return 0 if is_clean else 1


def _tell(console: Console, result: Result) -> None:
    answers = ", ".join(f"{count} × {answer}" for answer, count in sorted(result.answers.items(), key=str))
    mark = "✓" if result.is_clean else "✗"
    console.print(f"{mark} {result.name}: {result.seconds:.1f} s; answers {answers}", markup=False)
    if not result.is_clean:
        console.print(f"  {result.verdict}", markup=False)


def _cells(result: Result) -> tuple[str, ...]:
    verdict = result.verdict
    counts = (
        result.deliveries,
        result.sent,
        result.acknowledged,
        *map(len, (verdict.lost, verdict.doubled, verdict.wrong)),
    )
    return (result.name, *(f"{count:,}" for count in counts), f"{result.slowest_seconds:.1f}")


def _write(document: Path, results: Sequence[Result], events: int, seconds: float) -> None:
    lines = [COLUMNS, ("---", *["--:"] * (len(COLUMNS) - 1)), *map(_cells, results)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    about = (
        f"{len(results)} faults in {seconds / 60:.1f} minutes on {os.cpu_count()} cores ({platform.machine()},"
        f" Python {platform.python_version()}); {events:,} events or a few more, {COPIES} deliveries each."
    )
    text = document.read_text(encoding="utf-8")
    document.write_text(_TABLE.sub(lambda _: f"\n{table}\n\n{about}\n\n", text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
