"""Measures the floods of unsigned deliveries: `python -m tests.attack.lookups [--seconds N] [--only NAME]`."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.attack.lookups.campaign import FLOODS, measure
from tests.processes import running_supabase

SUPABASE_KEY = "sb_secret_for_attacks_0001"


def main() -> None:
    """Prints a line of JSON for each flood."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack.lookups")
    parser.add_argument("--seconds", type=float, default=10.0, help="of honest deliveries, at rest and under attack")
    parser.add_argument("--only", default="", metavar="TEXT", help="floods whose name holds this text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="supatoss-attack-") as name:
        folder = Path(name)
        with running_supabase(
            folder / "supabase", "sb_publishable_for_attacks_0001", SUPABASE_KEY, with_postgres=True
        ) as lite:
            for flood in (flood for flood in FLOODS if options.only in flood):
                figures = measure(flood, lite, SUPABASE_KEY, folder, options.seconds)
                sys.stdout.write(json.dumps({"flood": flood, **figures}) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
