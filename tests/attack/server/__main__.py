"""Measures every flood: `python -m tests.attack.server [--seconds N] [--only NAME]`. Loopback only, bounded."""

import argparse
import json
import tempfile
from pathlib import Path

from rich.console import Console

from tests.attack.server.target import MAX_FILES, running_target
from tests.processes import running_supabase

CAMPAIGN: tuple[tuple[str, int], ...] = (
    ("idle", 1100),
    ("endless_heads", 1100),
    ("many_lines", 1),
    ("long_line", 1),
    ("long_target", 1),
    ("trailers", 1),
    ("chunk_extensions", 4),
    ("stalled_bodies", 2600),
    ("signed_stalled_bodies", 2600),
    ("large_bodies", 8),
    ("pipelined", 50),
    ("bodies_elsewhere", 4),
    ("websockets", 20),
)
SMALL_MACHINE = {"MAX_BODIES_BYTES": f"{256 * 1024 * 1024 // 16}"}
"""As on a machine of 256 MB."""

SUPABASE_KEY = "sb_secret_for_attacks_0001"


def main() -> None:
    """Prints a line for each flood: the honest deliveries' figures, then what the flood counted."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack.server", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--only", default="", metavar="TEXT", help="floods whose name holds this text")
    parser.add_argument("--files", type=int, default=MAX_FILES, help="the service's limit of open files")
    options = parser.parse_args()
    console = Console(highlight=False, width=200)
    with (
        tempfile.TemporaryDirectory(prefix="supatoss-attack-") as name,
        running_supabase(
            Path(name) / "supabase", "sb_publishable_for_attacks_0001", SUPABASE_KEY, with_postgres=False
        ) as lite,
    ):
        for flood, count in (("nothing", 0), *CAMPAIGN):
            if options.only not in flood:
                continue
            with running_target(
                lite.url, SUPABASE_KEY, Path(name) / f"{flood}.log", SMALL_MACHINE, options.files
            ) as target:
                with target.watched() as seen:
                    counts = target.flood(flood if count else "idle", options.seconds, count)
                line = {"flood": flood, "connections": count, **seen.row(), "files": target.open_files()}
                lines = (Path(name) / f"{flood}.log").read_text(encoding="utf-8").count("\n")
            console.print(json.dumps(line), json.dumps(counts), f"log lines: {lines}")


if __name__ == "__main__":
    main()
