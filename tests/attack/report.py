"""What the attacks came to, as lines, a table, and a part of docs/security.md."""

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from tests.attack.honest import SIGNED_EVERY_SECONDS, UNSIGNED_EVERY_SECONDS, Answers
from tests.attack.stage import Result

COLUMNS = (
    *("attack", "connections", "answered to it", "genuine", "refused", "lost"),
    *("signed p50", "signed p99", "at rest", "×", "unsigned p50", "unsigned p99", "at rest", "×", "peak MiB", "stored"),
)
"""Times in milliseconds. stored: rows that are there because of the attack."""

_TABLE = re.compile(r"(?<=<!-- table: make attack -->\n).*?(?=<!-- end of table -->)", re.DOTALL)
_ANSWER = re.compile(r"answered \d{3}|cut|not connected")
MOST_ANSWERS = 3


def line(result: Result) -> str:
    """One line about one attack."""
    attacked = result.attacked
    statuses = dict(sorted((attacked.signed.statuses + attacked.unsigned.statuses).items()))
    problems = [f"{result.missing} acknowledged and missing"] if result.missing else []
    text = f"{'✓' if result.is_clean else '✗'} {result.attack.name}: honest {statuses}; {_answers(result, 9)}"
    return "; ".join([text, *problems, *result.problems])


def table(results: Sequence[Result]) -> Table:
    """All of them."""
    found = Table(*COLUMNS)
    for result in results:
        found.add_row(*_cells(result))
    return found


def write(document: Path, results: Sequence[Result], seconds: float) -> None:
    """Puts the table between the marks of a document."""
    lines = [COLUMNS, ("---", "--:", "---", *["--:"] * (len(COLUMNS) - 3)), *map(_cells, results)]
    rows = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    rates = f"{1 / SIGNED_EVERY_SECONDS:.0f} signed and {1 / UNSIGNED_EVERY_SECONDS:.0f} unsigned deliveries a second"
    about = (
        f"{seconds:g} s at rest and {seconds:g} s of each attack, on {os.cpu_count()} cores ({platform.machine()},"
        f" Python {platform.python_version()}) that PostgreSQL, the Data API, the Toss emulator, the senders and the"
        f" attacker share. Genuine: {rates}, each on a new connection. Times in milliseconds."
    )
    text = document.read_text(encoding="utf-8")
    document.write_text(_TABLE.sub(lambda _: f"\n{rows}\n\n{about}\n\n", text), encoding="utf-8")


def _cells(result: Result) -> tuple[str, ...]:
    attacked, rest = result.attacked, result.rest
    return (
        result.attack.about,
        f"{result.attack.connections:,}",
        _answers(result, MOST_ANSWERS),
        f"{attacked.sent:,}",
        str(attacked.refused),
        str(attacked.lost + result.missing),
        *_times(attacked.signed, rest.signed),
        *_times(attacked.unsigned, rest.unsigned),
        f"{result.peak_mib:.0f}",
        f"{result.stored:,}",
    )


def _times(attacked: Answers, rest: Answers) -> tuple[str, ...]:
    p99, at_rest = attacked.quantile(0.99), rest.quantile(0.99)
    ratio = f"{p99 / at_rest:.1f}" if at_rest else ""
    return (f"{attacked.quantile(0.5):.0f}", f"{p99:.0f}", f"{at_rest:.0f}", ratio)


def _answers(result: Result, most: int) -> str:
    """How the attacker was answered, the most frequent first."""
    counts = {name: count for name, count in result.answers.items() if _ANSWER.fullmatch(name)}
    ordered = sorted(counts.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{count:,} × {name.removeprefix('answered ')}" for name, count in ordered) or "nothing"
