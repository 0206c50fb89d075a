"""How long commands take from their start to their end, beside a Data API that answers at once."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.commands.data_api import nobody, serving
from tests.commands.lines import LIGHT, commands, line

RUNS = 10
GOAL_SECONDS = 0.3
_KEYS = {"SUPABASE_SECRET_KEY": "sb_secret_made_up_for_tests", "TOSS_SECRET_KEY": "test_sk_made_up_for_benchmarks"}
_LONG_RUNNING = ("serve", "worker", "events tail")


def run(log: Callable[[str], None], runs: int = RUNS) -> int:
    """Prints the median wall and CPU time of each command. Returns how many did not end as they should."""
    problems = 0
    print(f"| command | wall, median of {runs} | CPU, median | asks only the Data API |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, serving(200) as url, nobody() as away:
        file = Path(folder) / "body.json"
        file.write_text("{}")
        environment = {"PATH": os.defpath, "SUPABASE_URL": url, "TOSS_API_URL": away, **_KEYS}
        for command in ("--version", *(name for name in commands() if name not in _LONG_RUNNING)):
            arguments = [command] if command == "--version" else line(command, file=str(file), folder=folder)
            times = [_measure(arguments, environment, Path(folder)) for _ in range(runs + 1)][1:]  # the first compiles
            wall, cpu = (statistics.median(values) for values in list(zip(*times, strict=True))[:2])
            bad = sum(status not in (0, 1, 2, 3) for *_, status in times)
            problems += bad
            is_light = command in LIGHT
            asks = "yes" if is_light else ""
            print(f"| `{command}` | {wall * 1000:.0f} ms | {cpu * 1000:.0f} ms | {asks} |", flush=True)
            if is_light and cpu > GOAL_SECONDS:
                log(f"{command} takes more than {GOAL_SECONDS:g} s of CPU time")
    return problems


def _measure(arguments: list[str], environment: dict[str, str], folder: Path) -> tuple[float, float, int]:
    """Seconds on the clock, seconds of CPU time, and the exit status."""
    before, start = _cpu_seconds(), time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "supatoss", *arguments],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return time.perf_counter() - start, _cpu_seconds() - before, ended.returncode


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
