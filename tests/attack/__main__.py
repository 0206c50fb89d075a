"""Every attack, bounded and on loopback: `python -m tests.attack [--only NAME] [--seconds N] [--write FILE]`.

Exit status: 0 nothing honest was refused or lost; 1 something was; 130 stopped by Ctrl-C.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.attack import report
from tests.attack.catalogue import ATTACKS
from tests.attack.stage import Result, running_stage

SECONDS = 8.0
PIPE_COLUMNS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the attacks one after the other, and prints a line for each as it ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"at rest, and of each attack ({SECONDS:g})")
    parser.add_argument("--only", default="", metavar="NAME", help="attacks whose name holds this text")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this document, if all is well")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    results: list[Result] = []
    try:
        with tempfile.TemporaryDirectory(prefix="supatoss-attack-") as name, running_stage(Path(name)) as stage:
            for attack in (attack for attack in ATTACKS if options.only in attack.name):
                results.append(stage.attack(attack, options.seconds))
                console.print(report.line(results[-1]), markup=False)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    console.print(report.table(results))
    is_clean = all(result.is_clean for result in results)
    console.print(f"{len(results)} attacks: {'nothing honest refused or lost' if is_clean else 'NOT AS PROMISED'}")
    if options.write and is_clean and not options.only:
        report.write(options.write, results, options.seconds)
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
